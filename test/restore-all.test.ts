// `headwater restore -all` as a user meets it: databases that were written at the same time come back as of one moment, all
// of them or none, also when the machine that had them is gone.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkLedger } from "./support/check-ledger.ts";
import { engineReady, startEngineChild, stopEngine, syncEngine } from "./support/engine.ts";
import { headwater } from "./support/headwater.ts";
import { lastCommitted, pauseLoad, startLoad } from "./support/load.ts";
import { ltxPath, sampleHistory } from "./support/replica-builder.ts";
import { SqliteProcess } from "./support/sqlite-process.ts";
import { temporaryDirectory } from "./support/temporary.ts";
import type { TemporaryDirectory } from "./support/temporary.ts";
import { until } from "./support/until.ts";

/** One database of its own, two of a directory, one of them deeper. */
const paths = ["own/app.db", "tenants/a.db", "tenants/deep/b.db"] as const;

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly messages: string;
}

interface Report {
  readonly timestamp: string;
  readonly databases: readonly {
    readonly db_path: string;
    readonly txid: string;
    readonly timestamp: string;
    readonly next_timestamp?: string;
    readonly proof: string;
  }[];
  readonly skipped: readonly { readonly db_path: string; readonly reason: string }[];
  readonly failed: readonly { readonly db_path: string; readonly code: string }[];
}

async function restoreAll(config: string, ...args: readonly string[]): Promise<Outcome> {
  await using child = headwater(["restore", "-all", "-config", config, ...args]);
  const { code } = await child.exited;
  return { code, output: child.lines.join("\n"), messages: child.stderr };
}

function reportOf({ output }: Outcome): Report {
  return JSON.parse(output) as Report;
}

function configFor(directory: TemporaryDirectory): string {
  const path = directory.file("headwater.yml");
  writeFileSync(
    path,
    `dbs:
  - path: ${directory.file("live/own/app.db")}
    replica:
      path: ${directory.file("backups/own")}
  - dir: ${directory.file("live/tenants")}
    pattern: "*.db"
    recursive: true
    replica:
      path: ${directory.file("backups/tenants")}
`,
  );
  for (const name of ["own", "tenants/deep"])
    mkdirSync(directory.file(`live/${name}`), { recursive: true });
  return path;
}

function replicaOf(path: string): string {
  return path === "own/app.db" ? "backups/own" : `backups/${path}`;
}

/** Every database has ten TXIDs; one per second of the sample history's own time. */
async function sampleReplicas(directory: TemporaryDirectory): Promise<string> {
  for (const path of paths) await sampleHistory().writeLevel0(directory.file(replicaOf(path)));
  return configFor(directory);
}

function filesBelow(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .toSorted();
}

test("databases under load come back as of one moment, on a machine that has none of them", async () => {
  using directory = temporaryDirectory();
  const config = configFor(directory);
  await using stack = new AsyncDisposableStack();
  const all = await Promise.all(
    paths.map(async (name, seed) => {
      const path = directory.file(`live/${name}`);
      const load = stack.use(startLoad({ path, seed, commitsPerSecond: 50, reportMs: 0 }));
      await until(() => lastCommitted(load) > 0);
      const replica = directory.url(replicaOf(name));
      const options = { path, replica, syncIntervalMs: 20, levels: [200], l0RetentionMs: 0 };
      const engine = stack.use(startEngineChild(options));
      await engineReady(engine);
      return { name, load, engine };
    }),
  );
  await until(() => all.every(({ load }) => lastCommitted(load) > 40));
  const paused = await Promise.all(all.map(({ load }) => pauseLoad(load)));
  for (const { engine } of all) await syncEngine(engine);
  const moment = new Date(Date.now() + 1);
  await until(() => Date.now() > moment.getTime());
  for (const { load } of all) load.send("resume");
  await until(() => all.every(({ load }, n) => lastCommitted(load) > (paused[n] ?? 0) + 20));
  for (const { engine, load } of all) {
    await pauseLoad(load);
    expect(await stopEngine(engine)).toBe(0);
  }
  await stack.disposeAsync();
  rmSync(directory.file("live"), { recursive: true });

  const target = directory.file("target");
  const then = await restoreAll(config, "-at", moment.toISOString(), "-o", target, "-json");
  expect(then.messages).toBe("");
  const { databases, timestamp } = reportOf(then);
  expect(timestamp).toBe(moment.toISOString());
  expect(databases.map(({ db_path }) => db_path)).toEqual(paths.map((path) => join(target, path)));
  for (const [n, one] of databases.entries()) {
    expect(checkLedger(one.db_path).seq).toBe(paused[n]);
    expect(Date.parse(one.timestamp)).toBeLessThan(moment.getTime());
    expect(Date.parse(one.next_timestamp ?? "")).toBeGreaterThanOrEqual(moment.getTime());
    expect(one.proof).toBe("proved");
  }

  const now = await restoreAll(config);
  expect(now.code).toBe(0);
  expect(now.output).toContain("nothing newer");
  expect(now.output).toContain("Restored 3 databases as of ");
  for (const [n, path] of paths.entries()) {
    expect(checkLedger(directory.file(`live/${path}`)).seq).toBeGreaterThan(paused[n] ?? 0);
  }
});

test("one replica at fault: it is named, and nothing is replaced unless asked for", async () => {
  using directory = temporaryDirectory();
  const config = await sampleReplicas(directory);
  const damaged = ltxPath(directory.file(replicaOf("tenants/a.db")), {
    level: 0,
    min: 10,
    max: 10,
  });
  const bytes = readFileSync(damaged);
  bytes[200] = (bytes[200] ?? 0) ^ 1;
  writeFileSync(damaged, bytes);
  for (const path of paths) writeFileSync(directory.file(`live/${path}`), `old ${path}`);

  const none = await restoreAll(config, "-force");
  expect(none.code).toBe(1);
  expect(none.messages).toContain("no database was touched");
  expect(none.messages).toContain(`  ${directory.file("live/tenants/a.db")}: ltx/0/`);
  expect(none.messages).not.toContain("deep/b.db: ");
  for (const path of paths)
    expect(readFileSync(directory.file(`live/${path}`), "utf8")).toBe(`old ${path}`);
  expect(filesBelow(directory.file("live"))).toEqual(["a.db", "app.db", "b.db"]);

  const some = await restoreAll(config, "-force", "-partial", "-json");
  expect(some.code).toBe(1);
  expect(reportOf(some).databases.map(({ txid }) => txid)).toEqual(
    Array(2).fill("000000000000000a"),
  );
  expect(reportOf(some).failed).toMatchObject([
    { db_path: directory.file("live/tenants/a.db"), code: "ltx/checksum" },
  ]);
  expect(readFileSync(directory.file("live/tenants/a.db"), "utf8")).toBe("old tenants/a.db");
  expect(readFileSync(directory.file("live/own/app.db")).length).toBe(8 * 4096);
  expect(filesBelow(directory.file("live"))).toEqual(["a.db", "app.db", "b.db"]);
});

test("an output that exists is refused before anything is downloaded; all of them are named", async () => {
  using directory = temporaryDirectory();
  const config = await sampleReplicas(directory);
  for (const path of ["own/app.db", "tenants/a.db"])
    writeFileSync(directory.file(`live/${path}`), "mine");
  // Nothing of the replicas can be read: whoever tried would say so.
  for (const path of paths)
    for (let txid = 1; txid <= 10; txid++)
      writeFileSync(
        ltxPath(directory.file(replicaOf(path)), { level: 0, min: txid, max: txid }),
        "",
      );
  const refused = await restoreAll(config);
  expect(refused.code).toBe(1);
  expect(refused.messages).toContain("live/own/app.db exists already");
  expect(refused.messages).toContain("live/tenants/a.db exists already");
  expect(refused.messages).not.toContain("ltx/0");
});

test("what exists can be left alone, and what has no backup can be passed over", async () => {
  using directory = temporaryDirectory();
  const config = await sampleReplicas(directory);
  writeFileSync(directory.file("live/tenants/a.db"), "mine");
  rmSync(directory.file("backups/own"), { recursive: true });
  const strict = await restoreAll(config, "-if-db-not-exists");
  expect(strict.code).toBe(1);
  expect(strict.messages).toContain("live/own/app.db: There is no backup");
  expect(existsSync(directory.file("live/tenants/deep/b.db"))).toBe(false);
  const lenient = await restoreAll(config, "-if-db-not-exists", "-if-replica-exists", "-json");
  expect(lenient.code).toBe(0);
  expect(reportOf(lenient).skipped).toEqual([
    { db_path: directory.file("live/tenants/a.db"), reason: "exists" },
    { db_path: directory.file("live/own/app.db"), reason: "no backup" },
  ]);
  expect(readFileSync(directory.file("live/tenants/a.db"), "utf8")).toBe("mine");
  expect(existsSync(directory.file("live/tenants/deep/b.db"))).toBe(true);
});

test("a dry run says what each database would get, and makes nothing", async () => {
  using directory = temporaryDirectory();
  const config = await sampleReplicas(directory);
  // TXID n of the sample history is of second n.
  const time = new Date(1_700_000_006_500).toISOString();
  const plan = await restoreAll(config, "-dry-run", "-timestamp", time, "-json");
  expect(plan.code).toBe(0);
  expect(reportOf(plan).databases).toHaveLength(3);
  for (const one of reportOf(plan).databases)
    expect(one).toMatchObject({ max_txid: "0000000000000006", next_txid: "0000000000000007" });
  const shown = await restoreAll(config, "-dry-run", "-timestamp", time);
  expect(shown.output).toContain("live/tenants/deep/b.db  0000000000000006");
  expect(shown.output).toContain("Would restore 3 databases as of ");
  const early = await restoreAll(config, "-dry-run", "-timestamp", "2020-01-01T00:00:00Z");
  expect(early.code).toBe(1);
  expect(early.output).toContain("live/own/app.db failed: Nothing can be restored from before");
  expect(filesBelow(directory.file("live"))).toEqual([]);
});

test("a database in use keeps all the others from being replaced", async () => {
  using directory = temporaryDirectory();
  const config = await sampleReplicas(directory);
  await using app = new SqliteProcess(directory.file("live/tenants/deep/b.db"));
  await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x); BEGIN; SELECT * FROM t");
  writeFileSync(directory.file("live/own/app.db"), "old");
  const busy = await restoreAll(config, "-force");
  expect(busy.code).toBe(1);
  expect(busy.messages).toContain("live/tenants/deep/b.db is open in another program");
  expect(readFileSync(directory.file("live/own/app.db"), "utf8")).toBe("old");
});

test("says what does not go together", async () => {
  using directory = temporaryDirectory();
  const config = await sampleReplicas(directory);
  for (const [args, message] of [
    [["-txid", "0000000000000001"], "-txid goes with one database"],
    [["x.db"], "-all takes no source"],
  ] as const) {
    expect((await restoreAll(config, ...args)).messages).toContain(message);
  }
});
