// What is wrong with a database is found by name, without touching it. The applications are processes of their own.
import { mkdirSync, readFileSync, readdirSync, symlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Child } from "../../../test/support/children.ts";
import { engineReady, syncEngine } from "../../../test/support/engine.ts";
import { Scene } from "../../../test/support/scene.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { sha256OfFile } from "../../../test/support/live-image.ts";
import { systemClock } from "../base/clock.ts";
import { checkDatabase } from "./database-checks.ts";
import type { DatabaseFound } from "./database-checks.ts";
import type { DatabaseCheckOptions } from "./database-context.ts";
import { findMount } from "../file/file-systems.ts";
import { parseLocks } from "../file/file-locks.ts";
import { judgeDiskSpace, judgeFileSystem } from "./database-surroundings.ts";
import type { Check, CheckName } from "./report.ts";

const limits = {
  clock: systemClock,
  maxWalSizeBytes: 1024 ** 3,
  maxStagingBytes: 1024 ** 2,
  mayBeMissing: false,
};

class Examined {
  readonly checks: readonly Check[];
  readonly found: DatabaseFound;

  constructor(checks: readonly Check[], found: DatabaseFound) {
    this.checks = checks;
    this.found = found;
  }

  /** `result: what was found`. */
  of(name: CheckName): string {
    const check = this.checks.find((one) => one.name === name);
    return check === undefined ? "not made" : `${check.result}: ${check.found}`;
  }

  /** What is not ok, of what does not depend on the machine. */
  get ills(): readonly string[] {
    return this.checks
      .filter(
        ({ name, result }) => result !== "ok" && name !== "file-system" && name !== "disk-space",
      )
      .map(({ name, result }) => `${name}: ${result}`);
  }
}

async function examined(
  path: string,
  options: Partial<DatabaseCheckOptions> = {},
): Promise<Examined> {
  const checks: Check[] = [];
  const found = await checkDatabase(path, { ...limits, ...options }, (check) => checks.push(check));
  for (const { result, change } of checks)
    expect(result === "ok" || change !== undefined).toBe(true);
  return new Examined(checks, found);
}

it("a database in use is in order before its first replication, and is not touched", async () => {
  await using scene = await Scene.open();
  const before = await sha256OfFile(scene.path);
  const names = readdirSync(scene.directory.path);
  const result = await examined(scene.path);
  expect(result.ills).toEqual(["state: note"]);
  expect(result.of("page-size")).toBe("ok: 4096 bytes");
  expect(result.of("locks")).toMatch(/^ok: the database is open in process \d+ \(node\)/u);
  expect(result.found).toEqual({ pageSize: 4096, acknowledged: [] });
  expect(await sha256OfFile(scene.path)).toBe(before);
  expect(readdirSync(scene.directory.path)).toEqual(names);
});

it("a database that is being replicated is in order, and its guard is no long reader", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine();
  await engineReady(engine);
  const txid = await syncEngine(engine);
  await scene.app.ledger(5);
  await syncEngine(engine);
  const result = await examined(scene.path);
  expect(result.ills).toEqual([]);
  expect(result.of("replicator")).toContain(`process ${engine.pid}, since 2`);
  expect(result.of("state")).toContain("is acknowledged");
  expect(result.found.acknowledged[0]?.replica).toBe(scene.replica);
  expect(result.found.acknowledged[0]?.txid).toBeGreaterThanOrEqual(BigInt(`0x${txid}`));
  await engine.end("SIGKILL");
  const after = await examined(scene.path);
  expect(after.of("replicator")).toContain("note: no Headwater is running");
});

it("a reader that stays while others commit is named with its process", async () => {
  await using scene = await Scene.open();
  await using reader = new SqliteProcess(scene.path);
  await reader.exec("BEGIN");
  await reader.all("SELECT * FROM sqlite_schema");
  expect((await examined(scene.path)).of("long-readers")).toMatch(/^ok/u);
  await scene.app.ledger(1);
  const held = await examined(scene.path);
  expect(held.of("long-readers")).toMatch(
    /^warning: process \d+ \(node\) held on to an old state/u,
  );
  await reader.exec("COMMIT");
  expect((await examined(scene.path)).of("long-readers")).toMatch(/^ok/u);
});

it("a program named litestream is taken for one, and its guard for no long reader", async () => {
  await using scene = await Scene.open();
  const program = scene.directory.file("litestream");
  symlinkSync(process.execPath, program);
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(process.argv[1]);
    database.exec("BEGIN");
    database.prepare("SELECT * FROM sqlite_schema").all();
    console.log("reading");
    setInterval(() => database.isOpen, 1000);`;
  await using litestream = new Child(program, ["-e", script, scene.path]);
  await litestream.line((line) => line === "reading");
  await scene.app.ledger(1);
  const result = await examined(scene.path);
  expect(result.of("litestream")).toContain(`warning: Litestream, process ${litestream.pid}, is`);
  expect(result.of("long-readers")).toMatch(/^ok/u);
});

it("a write transaction that stays open is named", async () => {
  await using scene = await Scene.open();
  await scene.app.exec("BEGIN IMMEDIATE");
  expect((await examined(scene.path)).of("locks")).toMatch(/^warning: process \d+ \(node\)/u);
});

it("a database locked by locking_mode=EXCLUSIVE is a problem", async () => {
  await using scene = await Scene.open();
  await scene.app.close();
  await scene.app.exec("PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE; COMMIT");
  await scene.app.ledger(1);
  const result = await examined(scene.path);
  expect(result.of("locks")).toMatch(/^problem: process \d+ \(node\) keeps the database locked/u);
});

it("a rollback journal is a warning with what will happen", async () => {
  await using scene = await Scene.open();
  await scene.app.exec("PRAGMA journal_mode=DELETE");
  const result = await examined(scene.path);
  expect(result.ills).toEqual(["journal-mode: warning", "state: note"]);
  expect(result.of("wal-size")).toContain("there is no WAL");
});

it("a large WAL is a warning, and a problem above the limit", async () => {
  await using scene = await Scene.open();
  await scene.app.exec("PRAGMA wal_autocheckpoint=0");
  await scene.app.exec("CREATE TABLE big AS SELECT randomblob(2000000) AS x");
  const at = async (maxWalSizeBytes: number): Promise<string> =>
    (await examined(scene.path, { maxWalSizeBytes })).of("wal-size");
  expect(await at(3_000_000)).toMatch(/^warning: 2/u);
  expect(await at(1_000_000)).toMatch(/^problem: 2/u);
});

async function kindOf(path: string, mayBeMissing = false): Promise<string> {
  return (await examined(path, { mayBeMissing })).of("database");
}

it("what is no database is told apart", async () => {
  await using scene = await Scene.open();
  const file = (name: string, text: string): string => {
    writeFileSync(scene.directory.file(name), text);
    return scene.directory.file(name);
  };
  expect(await kindOf(file("notes.db", "not a database\n".repeat(500)))).toMatch(
    /^problem: .*SQLite/u,
  );
  expect(await kindOf(file("short.db", "SQLite format 3\0"))).toMatch(/^problem: /u);
  expect(await kindOf(file("empty.db", ""))).toMatch(/^note: /u);
  expect(await kindOf(scene.directory.path)).toBe("problem: it is a directory");
  expect(await kindOf(scene.directory.file("absent.db"))).toBe("problem: there is no file");
  expect(await kindOf(scene.directory.file("absent.db"), true)).toBe("warning: there is no file");
});

it("an old SQLite in the header is a warning with the version to update to", async () => {
  await using scene = await Scene.open();
  await scene.app.close();
  const bytes = readFileSync(scene.path);
  bytes.writeUInt32BE(3_040_001, 96);
  writeFileSync(scene.path, bytes);
  const check = (await examined(scene.path)).of("sqlite-version");
  expect(check).toMatch(/^warning: SQLite 3\.40\.1 wrote last/u);
});

it("a damaged state directory and a Litestream beside it are found", async () => {
  await using scene = await Scene.open();
  mkdirSync(scene.stateDirectory);
  writeFileSync(join(scene.stateDirectory, "state.json"), "{");
  expect((await examined(scene.path)).of("state")).toMatch(
    /^problem: .*state\.json cannot be read/u,
  );
  const level0 = scene.directory.file(".app.db-litestream/ltx/0");
  mkdirSync(level0, { recursive: true });
  expect((await examined(scene.path)).of("litestream")).toMatch(/^note: /u);
  writeFileSync(join(level0, "0000000000000001-0000000000000001.ltx"), "x");
  expect((await examined(scene.path)).of("litestream")).toMatch(/^warning: /u);
  const later = { ...systemClock, nowMs: () => Date.now() + 600_000 };
  expect((await examined(scene.path, { clock: later })).of("litestream")).toMatch(/^note: /u);
  rmSync(scene.directory.file(".app.db-litestream"), { recursive: true });
  expect((await examined(scene.path)).of("litestream")).toMatch(/^ok: /u);
});

it("judges free space by what may have to fit", () => {
  const mib = 1024 ** 2;
  const space = {
    databaseBytes: 1000 * mib,
    maxWalSizeBytes: 500 * mib,
    maxStagingBytes: 2000 * mib,
  };
  const judged = [2000, 1999, 1500, 1499, 100, 99].map(
    (free) => judgeDiskSpace({ ...space, freeBytes: free * mib }).result,
  );
  expect(judged).toEqual(["ok", "note", "note", "warning", "warning", "problem"]);
  const small = { ...space, databaseBytes: mib, freeBytes: 15 * mib };
  expect(judgeDiskSpace(small).result).toBe("problem");
});

it("reads /proc/locks and mountinfo as the kernel writes them", () => {
  const locks = parseLocks(
    "1: POSIX  ADVISORY  READ 2244 fe:00:10004723 124 124\n" +
      "1: -> POSIX  ADVISORY  WRITE 9 fe:00:10004723 124 124\n" +
      "2: FLOCK  ADVISORY  WRITE 2244 fe:00:5 0 EOF\n" +
      "3: POSIX  ADVISORY  WRITE 17 00:2a:7 0 EOF\n",
  );
  const first = {
    kind: "read",
    pid: 2244,
    device: "254:0",
    inode: 10_004_723,
    first: 124,
    last: 124,
  };
  const second = { kind: "write", pid: 17, device: "0:42", inode: 7, first: 0, last: Infinity };
  expect(locks).toEqual([first, second]);
  const mounts =
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n" +
    "30 27 0:44 / /mnt/my\\040disk rw shared:1 master:2 - nfs4 host:/x rw\n" +
    "31 27 0:45 / /mnt/my\\040disk rw - fuse.sshfs host:/x rw\n";
  expect(findMount(mounts, "/mnt/my disk/app.db")).toEqual({ kind: "fuse.sshfs", device: "0:45" });
  expect(findMount(mounts, "/mnt/my disks/app.db")).toEqual({ kind: "ext4", device: "254:0" });
});

it("judges file systems by their kind", () => {
  const judged = ["ext4", "xfs", "nfs4", "fuse.sshfs", "9p", "overlay", "tmpfs", undefined].map(
    (kind) => judgeFileSystem(kind).result,
  );
  expect(judged).toEqual(["ok", "ok", "warning", "warning", "warning", "warning", "note", "note"]);
});
