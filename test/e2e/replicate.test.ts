// `headwater replicate` as a user meets it: bin/headwater.js in a process of its own.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Child } from "../support/children.ts";
import { startLoad } from "../support/load.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import type { TemporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";

const program = fileURLToPath(new URL("../../bin/headwater.js", import.meta.url));

function headwater(...args: readonly string[]): Child {
  return new Child(process.execPath, [program, ...args]);
}

async function outcome(
  child: Child,
): Promise<{ code: number | null; stderr: string; stdout: string }> {
  const { code } = await child.exited;
  return { code, stderr: child.stderr, stdout: child.lines.join("\n") };
}

async function databaseAt(path: string): Promise<void> {
  await using load = startLoad({ path, seed: 3, transactions: 20, end: "close" });
  await load.success();
}

function noise(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 2_654_435_761) >>> 24);
}

describe("bad input", () => {
  const files: readonly (readonly [string, (path: string) => void, RegExp])[] = [
    [
      "a text file",
      (path) => writeFileSync(path, "hello, world\n".repeat(200)),
      /not a SQLite database/u,
    ],
    [
      "an encrypted-looking file",
      (path) => writeFileSync(path, noise(8192)),
      /not a SQLite database|encrypted/u,
    ],
    ["a garbage header", (path) => writeGarbageHeader(path), /page size|header/u],
    ["an empty file", (path) => writeFileSync(path, ""), /is empty/u],
    ["a directory", (path) => mkdirSync(path), /is a directory/u],
    ["a missing file", () => undefined, /no database at/u],
  ];

  test.each(files)(
    "%s: says so, exits with 1, leaves the file and the replica alone",
    async (_name, make, message) => {
      using directory = temporaryDirectory();
      const path = directory.file("app.db");
      make(path);
      const before =
        existsSync(path) && !_name.includes("directory") ? readFileSync(path) : undefined;
      await using child = headwater("replicate", path, directory.url("replica"), "-once");
      const { code, stderr } = await outcome(child);
      expect(stderr).toMatch(/^Error: /u);
      expect(stderr).toMatch(message);
      expect(code).toBe(1);
      if (before !== undefined) expect(readFileSync(path).equals(before)).toBe(true);
      expect(existsSync(directory.file("replica"))).toBe(false);
    },
  );

  test.each([
    [["replicate", "app.db", "ftp://host/path"], /ftp.*file:\/\/.*s3:\/\//su],
    [["replicate", "app.db"], /URL of a replica/u],
    [["replicate", "app.db", "file:///r", "file:///r/"], /same URL/u],
    [
      ["replicate", "app.db", "file:///r", "-sync-interval", "soon"],
      /-sync-interval must be a duration/u,
    ],
    [["replicate", "app.db", "file:///r", "-max-wal-size", "big"], /-max-wal-size must be a size/u],
    [["replicate", "app.db", "file:///r", "-once", "-exec", "true"], /cannot be used together/u],
    [["replicate", "app.db", "file:///r", "-force-snapshot"], /needs -once/u],
    [
      ["replicate", "app.db", "file:///r", "-config", "x.yml"],
      /-config and a database with its replica exclude each other/u,
    ],
    [["replicate", "app.db", "file:///r", "-enforce-retention"], /-enforce-retention needs -once/u],
    [["replicate", "app.db", "file:///r", "-onse"], /-onse/u],
  ])("%j is refused", async (args, message) => {
    await using child = headwater(...args);
    const { code, stderr } = await outcome(child);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });

  test("an application with locking_mode=EXCLUSIVE is named as what is in the way", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    using owner = new DatabaseSync(path);
    owner.exec(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    );
    await using child = headwater("replicate", path, directory.url("replica"), "-once");
    const { code, stderr } = await outcome(child);
    expect(stderr).toMatch(/locking_mode=EXCLUSIVE/u);
    expect(code).toBe(1);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "no permission on the file or its directory is told with the path",
    async () => {
      using directory = temporaryDirectory();
      chmodSync(directory.path, 0o755);
      mkdirSync(directory.file("replica"), { mode: 0o777 });
      chmodSync(directory.file("replica"), 0o777);
      const path = directory.file("app.db");
      await databaseAt(path);
      const attempt = async (): Promise<string> => {
        const script = fileURLToPath(new URL("../support/replicate-as-nobody.ts", import.meta.url));
        await using child = new Child(process.execPath, [script, path, directory.url("replica")]);
        return (await child.success()).join("\n");
      };
      chmodSync(path, 0o600);
      expect(await attempt()).toMatch(/^capture\/unreadable .*app\.db/u);
      // Readable and writable, but nothing can be made beside it.
      chownSync(path, 65_534, 65_534);
      expect(await attempt()).toMatch(/^capture\/unreadable .*app\.db-headwater/u);
      expect(readdirSync(directory.file("replica"))).toEqual([]);
    },
  );
});

/** SQLite's magic, then a page size that cannot be. */
function writeGarbageHeader(path: string): void {
  const bytes = noise(4096);
  bytes.set(new TextEncoder().encode("SQLite format 3\0"));
  bytes.set([0x13, 0x37], 16);
  writeFileSync(path, bytes);
}

async function restoredRows(directory: TemporaryDirectory, replica: string): Promise<unknown[]> {
  const output = directory.file(`restored-${Math.random()}.db`);
  await using child = headwater("restore", replica, "-o", output);
  await child.success();
  using db = new DatabaseSync(output);
  return db
    .prepare("SELECT x FROM t ORDER BY x")
    .all()
    .map((row) => row["x"]);
}

describe("-exec", () => {
  test("replicates what the command writes, also into a new database, and exits with its code", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    const script = directory.file("app.mjs");
    const statements =
      "PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1),(2)";
    writeFileSync(
      script,
      `import { DatabaseSync } from "node:sqlite"; new DatabaseSync(${JSON.stringify(path)}).exec(${JSON.stringify(statements)}); process.exit(7);`,
    );
    const command = `'${process.execPath}' '${script}'`;
    await using child = headwater("replicate", path, directory.url("replica"), "-exec", command);
    expect((await outcome(child)).code).toBe(7);
    expect(await restoredRows(directory, directory.url("replica"))).toEqual([1, 2]);
  });

  test("a command that cannot be started is an error, and what is committed is in the replica", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    using db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    const replica = directory.url("replica");
    const command = directory.file("no-such-command");
    await using child = headwater("replicate", path, replica, "-exec", command);
    const { code, stderr } = await outcome(child);
    expect(stderr).toMatch(/-exec .*no-such-command.*Check the command and its path/u);
    expect(code).toBe(1);
    expect(await restoredRows(directory, replica)).toEqual([1]);
  });

  test("forwards SIGTERM to the command and waits for it, then syncs", async () => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    const script = directory.file("app.mjs");
    writeFileSync(
      script,
      `import { DatabaseSync } from "node:sqlite";
       const db = new DatabaseSync(${JSON.stringify(path)});
       db.exec("PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; CREATE TABLE t(x)");
       process.on("SIGTERM", () => { db.exec("INSERT INTO t VALUES(42)"); process.exit(0); });
       setInterval(() => {}, 1000);
       console.log("application is up");`,
    );
    const command = `'${process.execPath}' '${script}'`;
    await using child = headwater("replicate", path, directory.url("replica"), "-exec", command);
    await child.line((line) => line.includes("application is up"));
    expect((await child.end("SIGTERM")).code).toBe(0);
    expect(await restoredRows(directory, directory.url("replica"))).toEqual([42]);
  });
});

test("-restore-if-db-not-exists restores first, and a missing backup is fine", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const replica = directory.url("replica");
  {
    using db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(5)");
  }
  await headwater("replicate", path, replica, "-once", "-restore-if-db-not-exists").success();
  const elsewhere = directory.file("other.db");
  await headwater("replicate", elsewhere, replica, "-once", "-restore-if-db-not-exists").success();
  using db = new DatabaseSync(elsewhere, { readOnly: true });
  expect(db.prepare("SELECT x FROM t").get()).toEqual({ x: 5 });
});

test("SIGTERM ends a restore before the start, and leaves nothing of it", async () => {
  using directory = temporaryDirectory();
  const nobody = "s3://bucket/app?endpoint=http://127.0.0.1:1";
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  const args = ["replicate", directory.file("app.db"), nobody, "-restore-if-db-not-exists"];
  await using child = new Child(process.execPath, [program, ...args], { env });
  await child.line((line) => line.includes(" store.retry "));
  expect((await child.end("SIGTERM")).code).toBe(1);
  expect(child.stderr).toContain("interrupted by SIGTERM");
  expect(readdirSync(directory.path)).toEqual([]);
});

test("a second engine on the same database is told the process id of the first", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await databaseAt(path);
  await using first = headwater("replicate", path, directory.url("replica"));
  await first.line((line) => line.includes("database.replicating"));
  await using second = headwater("replicate", path, directory.url("other"), "-once");
  const { code, stderr } = await outcome(second);
  expect(stderr).toContain(`process ${first.pid}`);
  expect(code).toBe(1);
  expect((await first.end("SIGINT")).code).toBe(0);
});

test("status shows Litestream's fields from local files alone", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const read = async (): Promise<unknown> => {
    await using child = headwater("status", "-json", path);
    return JSON.parse((await child.success()).join("\n")) as unknown;
  };
  expect(await read()).toMatchObject([
    { database: path, status: "no database", local_txid: "-", wal_size: "-" },
  ]);
  await databaseAt(path);
  expect(await read()).toMatchObject([{ status: "not initialized" }]);
  await headwater("replicate", path, directory.url("replica"), "-once").success();
  expect(await read()).toMatchObject([
    {
      status: "ok",
      local_txid: "0000000000000002",
      replicated_txid: "0000000000000002",
      replica: directory.url("replica"),
      verification: "-",
      verified_at: "-",
    },
  ]);
});

test("status says what is wrong with a damaged state directory", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await databaseAt(path);
  await headwater("replicate", path, directory.url("replica"), "-once").success();
  writeFileSync(directory.file(".app.db-headwater/state.json"), "{");
  const lines = await headwater("status", "-json", path).success();
  const error = expect.stringContaining("state.json");
  expect(JSON.parse(lines.join("\n"))).toMatchObject([{ status: "error", error }]);
  const shown = await headwater("status", path).success();
  expect(shown.at(-1)).toMatch(/app\.db: .*state\.json/u);
});

test("status shows what verification found while it replicated", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await databaseAt(path);
  const often = ["-verify-interval", "50ms", "-verify-restore-interval", "50ms"];
  await using replicating = headwater("replicate", path, directory.url("replica"), ...often);
  const read = async (): Promise<Readonly<Record<string, unknown>>> => {
    await using child = headwater("status", "-json", path);
    const [record] = JSON.parse((await child.success()).join("\n"));
    return record;
  };
  // The proof may come before the last upload, and then once more.
  const wanted = "0000000000000002";
  await until(async () => {
    const { verified_txid: verified, restore_verified_txid: compared } = await read();
    return verified === wanted && compared === wanted;
  });
  expect((await replicating.end("SIGINT")).code).toBe(0);
  expect(await read()).toMatchObject({
    verification: "passed",
    verified_at: expect.stringMatching(/^20..-..-..T/u),
    restore_verified_at: expect.stringMatching(/^20..-..-..T/u),
  });
  await using refused = headwater("replicate", path, "file:///r", "-verify-interval", "often");
  const { code, stderr } = await outcome(refused);
  expect(code).toBe(1);
  expect(stderr).toContain("-verify-interval must be a duration");
});

test("two replicas: both get everything, status tells of each, and the newest restores a missing database", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const urls = [directory.url("one"), directory.url("two")];
  {
    using db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(5)");
  }
  await headwater("replicate", path, ...urls, "-once").success();
  for (const url of urls) expect(await restoredRows(directory, url)).toEqual([5]);
  const status = await headwater("status", "-json", path).success();
  expect(JSON.parse(status.join("\n"))).toMatchObject([
    {
      replica: urls.join(", "),
      replicated_txid: "0000000000000002",
      replicas: urls.map((url) => ({ url, replicated_txid: "0000000000000002" })),
    },
  ]);
  const unnamed = await outcome(headwater("restore", path, "-o", directory.file("copy.db")));
  expect(unnamed.stderr).toContain("several replicas. Give the URL of one: ");
  for (const url of urls) expect(unnamed.stderr).toContain(url);
  {
    using db = new DatabaseSync(path);
    db.exec("INSERT INTO t VALUES(6)");
  }
  await headwater("replicate", path, urls[1] ?? "", "-once").success();
  const elsewhere = directory.file("other.db");
  const restoring = ["-once", "-restore-if-db-not-exists", "-take-over"];
  await headwater("replicate", elsewhere, ...urls, ...restoring).success();
  for (const url of urls) expect(await restoredRows(directory, url)).toEqual([5, 6]);
});

test("with a replica that cannot be listed a missing database is not restored from the other", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  await databaseAt(path);
  const replica = directory.url("one");
  await headwater("replicate", path, replica, "-once").success();
  const missing = directory.file("missing.db");
  symlinkSync("two", directory.file("two"));
  const urls = [replica, directory.url("two")];
  const { code, stderr } = await outcome(
    headwater("replicate", missing, ...urls, "-once", "-restore-if-db-not-exists"),
  );
  expect(stderr).toContain(`${urls[1]} cannot be listed, and it may be the newest`);
  expect(code).toBe(1);
  expect(existsSync(missing)).toBe(false);
});
