// `headwater doctor` as a user meets it: a healthy setup, ill ones, and what it leaves behind.
import { appendFileSync, chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkNames } from "../../src/node/doctor/report.ts";
import type { CheckName } from "../../src/node/doctor/report.ts";
import { Child } from "../support/children.ts";
import { engineReady, syncEngine } from "../support/engine.ts";
import { repositoryText } from "../support/repository.ts";
import { startS3Stub } from "../support/s3-stub.ts";
import { Scene } from "../support/scene.ts";
import { SqliteProcess } from "../support/sqlite-process.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const program = fileURLToPath(new URL("../../bin/headwater.js", import.meta.url));

function headwater(...args: readonly string[]): Child {
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  return new Child(process.execPath, [program, ...args], { env });
}

interface Outcome {
  readonly code: number | null;
  readonly result: string;
  readonly kinds: readonly string[];
  /** `result: what was found` of the first check of that name. */
  readonly of: (name: CheckName) => string;
  readonly text: string;
}

async function doctor(...args: readonly string[]): Promise<Outcome> {
  await using child = headwater("doctor", "-json", ...args);
  return await outcomeOf(child);
}

interface Printed {
  readonly result: string;
  readonly sections: readonly {
    readonly kind: string;
    readonly checks: readonly {
      readonly name: string;
      readonly result: string;
      readonly found: string;
    }[];
  }[];
}

async function outcomeOf(child: Child): Promise<Outcome> {
  const { code } = await child.exited;
  const text = child.lines.join("\n");
  const { result, sections } = JSON.parse(text) as Printed;
  const checks = sections.flatMap((section) => section.checks);
  const of = (name: CheckName): string => {
    const check = checks.find((one) => one.name === name);
    return check === undefined ? "not made" : `${check.result}: ${check.found}`;
  };
  return { code, result, kinds: sections.map(({ kind }) => kind), of, text };
}

/** A database that has been replicated once, its application connected. */
async function replicated(): Promise<Scene> {
  const scene = await Scene.open();
  await headwater("replicate", scene.path, scene.replica, "-once").success();
  return scene;
}

describe("a healthy setup", () => {
  test("is in order by database, by URL and by configuration file, and is left as it was", async () => {
    await using scene = await replicated();
    const config = scene.directory.file("litestream.yml");
    writeFileSync(
      config,
      `dbs:\n  - path: ${scene.path}\n    replica:\n      url: ${scene.replica}\n  - path: ${scene.directory.file("later.db")}\n` +
        `    replica:\n      path: ${scene.directory.file("later")}\n`,
    );
    const names = (): readonly string[] =>
      readdirSync(scene.directory.path, { recursive: true, encoding: "utf8" }).toSorted();
    const before = names();
    const byPath = await doctor(scene.path);
    expect(byPath.kinds).toEqual(["database", "store", "replica"]);
    expect(byPath.of("agreement")).toMatch(/^ok/u);
    expect(byPath.of("newest-file")).toMatch(/^ok: TXID [0-9a-f]{16} of .* by the Headwater/u);
    expect(byPath.code).toBe(0);
    const byUrl = await doctor(scene.replica);
    expect(byUrl.kinds).toEqual(["store", "replica"]);
    expect(byUrl.code).toBe(0);
    expect((await doctor(scene.replicaPath)).text).toContain(`"kind": "store"`);
    const byConfig = await doctor(config);
    const each = ["database", "store", "replica"];
    expect(byConfig.kinds).toEqual(["configuration", ...each, ...each]);
    // Both replicas lie in one directory: only permissions may differ.
    expect(byConfig.text.match(/"name": "write"/gu)).toHaveLength(2);
    expect(byConfig.text.match(/"name": "latency"/gu)).toHaveLength(1);
    expect(byConfig.text).toContain("there is no file");
    expect(byConfig.code).toBe(0);
    expect(names()).toEqual(before);
    expect((await scene.prove()).length).toBeGreaterThan(0);
  });

  test("is not disturbed while it is written to and replicated", async () => {
    await using scene = await Scene.open();
    const engine = scene.engine({ syncIntervalMs: 0 });
    await engineReady(engine);
    const done = new AbortController();
    const writing = (async () => {
      while (!done.signal.aborted) await scene.app.ledger(10);
    })();
    for (let run = 0; run < 3; run++) {
      const { code, of } = await doctor(scene.path);
      expect(of("replicator")).toContain(`process ${engine.pid}`);
      expect(of("locks")).not.toMatch(/^problem/u);
      expect(code).toBe(0);
    }
    done.abort();
    await writing;
    await syncEngine(engine);
    await scene.prove();
  });

  test("is printed for people with one line per check and what to change below", async () => {
    await using scene = await replicated();
    await using child = headwater("doctor", scene.path);
    const lines = await child.success();
    expect(lines[0]).toBe(`database ${scene.path}`);
    expect(lines).toContain("  ok       journal-mode          WAL");
    const note = lines.findIndex((line) => line.startsWith("  note     replicator "));
    expect(lines[note + 1]).toMatch(/^ {33}-> Start headwater replicate/u);
    expect(lines.at(-1)).toMatch(/^\d+ checks: 0 problems, \d+ warnings?, \d+ notes?\.$/u);
  });

  test("probing a URL that is not there yet makes no directory", async () => {
    using directory = temporaryDirectory();
    const { code, of } = await doctor(directory.url("not/there/yet"));
    expect(code).toBe(0);
    expect(of("replica")).toMatch(/^note: no LTX files/u);
    expect(readdirSync(directory.path)).toEqual([]);
  });
});

describe("ill databases", () => {
  test("a rollback journal and a long reader are warnings, and do not fail", async () => {
    await using scene = await Scene.open();
    await using reader = new SqliteProcess(scene.path);
    await reader.exec("BEGIN");
    await reader.all("SELECT * FROM sqlite_schema");
    await scene.app.ledger(1);
    const held = await doctor(scene.path);
    expect(held.of("long-readers")).toMatch(/^warning: process \d+ \(node\)/u);
    expect([held.code, held.result]).toEqual([0, "warning"]);
    await reader.close();
    await scene.app.exec("PRAGMA journal_mode=DELETE");
    const rollback = await doctor(scene.path);
    expect(rollback.of("journal-mode")).toBe("warning: rollback journal");
    expect([rollback.code, rollback.kinds]).toEqual([0, ["database"]]);
  });

  test("no database and no file are problems", async () => {
    using directory = temporaryDirectory();
    writeFileSync(directory.file("notes.db"), "no database\n".repeat(100));
    const notes = await doctor(directory.file("notes.db"));
    expect(notes.of("database")).toMatch(/^problem: The file is not a SQLite database/u);
    expect(notes.code).toBe(1);
    const absent = await doctor(directory.file("absent.db"));
    expect(absent.of("database")).toBe("problem: there is no file");
    expect(absent.code).toBe(1);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "no permission is a problem that names the file",
    async () => {
      await using scene = await Scene.open();
      chmodSync(scene.directory.path, 0o755);
      chmodSync(scene.path, 0o600);
      mkdirSync(scene.replicaPath, { mode: 0o755 });
      const script = fileURLToPath(new URL("../support/doctor-as-nobody.ts", import.meta.url));
      const asNobody = (...args: readonly string[]): Child =>
        new Child(process.execPath, [script, "-json", ...args]);
      await using database = asNobody(scene.path);
      const file = await outcomeOf(database);
      expect(file.of("permissions")).toMatch(
        /^problem: .*app\.db cannot be read and written by user/u,
      );
      expect(file.of("state-directory")).toMatch(/^problem: /u);
      expect(file.code).toBe(1);
      await using store = asNobody(scene.replica);
      const replica = await outcomeOf(store);
      expect(replica.of("reachable")).toMatch(/^ok/u);
      expect(replica.of("write")).toMatch(/^problem: .*EACCES/u);
      expect(replica.code).toBe(1);
    },
  );
});

describe("ill replicas and configurations", () => {
  test("missing files and files of another page size are problems", async () => {
    await using scene = await replicated();
    await scene.app.ledger(5);
    await headwater("replicate", scene.path, scene.replica, "-once").success();
    for (const level of readdirSync(`${scene.replicaPath}/ltx`)) {
      rmSync(`${scene.replicaPath}/ltx/${level}/0000000000000001-0000000000000001.ltx`, {
        force: true,
      });
    }
    const holed = await doctor(scene.path);
    expect(holed.of("gaps")).toMatch(/^problem: no files give TXID 0{15}1 to/u);
    expect(holed.code).toBe(1);
    await using other = await Scene.open({ pageSize: 8192 });
    writeFileSync(
      other.directory.file("a.yml"),
      `dbs:\n  - path: ${other.path}\n    replica:\n      url: ${scene.replica}\n`,
    );
    const mixed = await doctor(other.directory.file("a.yml"));
    expect(mixed.of("agreement")).toContain("problem: the replica has pages of 4096 bytes");
  });

  test("mistakes and warnings of a configuration file are reported, with their place", async () => {
    await using scene = await Scene.open();
    const config = scene.directory.file("litestream.yml");
    writeFileSync(
      config,
      `dbs:\n  - path: ${scene.path}\n    replicas:\n      - url: ${scene.replica}\n`,
    );
    const warned = await doctor(config);
    expect(warned.of("configuration")).toMatch(/^warning: .*litestream\.yml:3:.*old form/u);
    expect(warned.code).toBe(0);
    appendFileSync(config, "    no-such-key: 1\n");
    const mistaken = await doctor("-config", config);
    expect(mistaken.of("configuration")).toMatch(/^problem: .*no-such-key/su);
    expect([mistaken.code, mistaken.kinds]).toEqual([1, ["configuration"]]);
    const directory = `dbs:\n  - dir: ${scene.directory.file("none")}\n    pattern: "*.db"\n`;
    writeFileSync(config, `${directory}    replica: { path: ${scene.replicaPath} }\n`);
    expect((await doctor(config)).of("configuration")).toMatch(
      /^problem: there is no database in/u,
    );
    writeFileSync(config, "dbs: []\n");
    expect((await doctor(config)).of("configuration")).toBe("problem: lists 0 databases");
  });
});

test("Ctrl-C in the middle removes what was written", async () => {
  const keys = new Set<string>();
  let child: Child | undefined;
  await using stub = await startS3Stub(({ method, path, query }) => {
    if (method === "PUT") {
      keys.add(path);
      if (path.includes("doctor")) child?.signal("SIGINT");
      return { status: 200, headers: { etag: `"${"0".repeat(32)}"` } };
    }
    if (method === "DELETE") {
      keys.delete(path);
      return { status: 204 };
    }
    if (method === "POST" && query.has("delete")) {
      keys.clear();
      return { status: 200, body: "<DeleteResult></DeleteResult>" };
    }
    return query.has("list-type")
      ? {
          status: 200,
          body: "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
        }
      : { status: 404 };
  });
  child = headwater("doctor", `s3://bucket/app?endpoint=${stub.endpoint}`);
  const { code } = await child.exited;
  expect(child.stderr).toContain("interrupted by SIGINT");
  expect(code).toBe(1);
  expect(stub.requests.some(({ path }) => path.includes("headwater-doctor"))).toBe(true);
  expect([...keys]).toEqual([]);
});

test("docs/doctor.md explains every check", () => {
  const text = repositoryText("docs/doctor.md");
  expect(checkNames.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
