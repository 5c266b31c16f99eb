import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeadwaterError } from "../../core/base/errors.ts";
import { type GoldenSet, copyGolden } from "../../../test/support/golden.ts";
import { CrashError, crashingFileSystem } from "../../../test/support/faulty-file-system.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { systemEnvironment } from "./environment.ts";
import { type RestoreOptions, restore, restoreIn } from "./restore.ts";

let set: GoldenSet & Disposable;
let replica: string;
let newSha256: string | undefined;
beforeAll(() => {
  set = copyGolden("vacuum-4096");
  replica = pathToFileURL(set.path).href;
  newSha256 = set.restores.at(-1)?.sha256;
});
afterAll(() => set[Symbol.dispose]());

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** `code message` of a failed restore. */
async function failureOf(options: Omit<RestoreOptions, "replica">): Promise<string> {
  try {
    await restore({ replica, ...options });
  } catch (error) {
    if (error instanceof HeadwaterError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "ok";
}

/** A database whose last rows are only in its WAL, as a killed program leaves it. */
function leaveDatabaseWithWal(path: string): void {
  const live = `${path}.live`;
  const database = new DatabaseSync(live);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n)");
  database.exec("INSERT INTO t VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)");
  database.exec("INSERT INTO t VALUES (2), (3)");
  for (const suffix of ["", "-wal", "-shm"]) copyFileSync(live + suffix, path + suffix);
  database.close();
  for (const suffix of ["", "-wal", "-shm"]) rmSync(live + suffix, { force: true });
}

/** Rows of the old database as a program would find them, its WAL included. */
function rowsIn(path: string): number {
  using copies = temporaryDirectory();
  const copy = join(copies.path, "copy.db");
  for (const suffix of ["", "-wal", "-journal"]) {
    if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix);
  }
  const database = new DatabaseSync(copy);
  const row = database.prepare("SELECT count(*) AS n FROM t").get();
  database.close();
  return Number(row?.["n"]);
}

describe("the output of a restore", () => {
  it("is made with its directories, for its owner alone", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "a/b/app.db");
    const result = await restore({ replica, output });
    expect(result.path).toBe(output);
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(sha256(output)).toBe(newSha256);
    expect(readdirSync(dirname(output))).toEqual(["app.db"]);
  });

  it("may replace an empty file, and nothing else without force", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    writeFileSync(output, "");
    expect(await failureOf({ output })).toBe("ok");
    expect(await failureOf({ output })).toContain("restore/output-exists");
    expect(await failureOf({ output: directory.path, force: true })).toContain("restore/output ");
    expect(await failureOf({ output: join(output, "below") })).toContain("restore/output ");
    for (const suffix of ["-wal", "-shm", "-journal"]) {
      const other = join(directory.path, `other${suffix}.db`);
      writeFileSync(other + suffix, "left over");
      const failure = await failureOf({ output: other });
      expect(failure).toContain(`restore/output-exists ${other}${suffix} exists already`);
      expect(existsSync(other)).toBe(false);
    }
  });

  it("replaces what a symbolic link points to, and keeps the link", async () => {
    using directory = temporaryDirectory();
    const real = join(directory.path, "real.db");
    const output = join(directory.path, "app.db");
    writeFileSync(real, "old");
    symlinkSync("real.db", output);
    await restore({ replica, output, force: true });
    expect(lstatSync(output).isSymbolicLink()).toBe(true);
    expect(sha256(real)).toBe(newSha256);
  });

  it("keeps mode and owner of the database it replaces", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    writeFileSync(output, "old");
    chmodSync(output, 0o664);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(output, 65_534, 65_534);
    await restore({ replica, output, force: true });
    expect(statSync(output).mode & 0o777).toBe(0o664);
    expect(statSync(output).uid).toBe(isRoot ? 65_534 : process.getuid?.());
  });
});

describe("restore with force", () => {
  it("replaces a database together with its WAL and wal-index", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    leaveDatabaseWithWal(output);
    expect(await failureOf({ output })).toContain("restore/output-exists");
    expect(await failureOf({ output, force: true })).toBe("ok");
    expect(readdirSync(directory.path)).toEqual(["app.db"]);
    expect(sha256(output)).toBe(newSha256);
  });

  it("replaces files that are no database, whatever lies beside them", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    writeFileSync(output, "this is no database".repeat(100));
    writeFileSync(`${output}-wal`, "nor is this a WAL");
    writeFileSync(`${output}-journal`, "nor a journal");
    expect(await failureOf({ output, force: true })).toBe("ok");
    expect(readdirSync(directory.path)).toEqual(["app.db"]);
    expect(sha256(output)).toBe(newSha256);
  });

  it("removes a WAL without a database, which SQLite would replay into the new one", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    leaveDatabaseWithWal(output);
    rmSync(output);
    expect(await failureOf({ output, force: true })).toBe("ok");
    expect(readdirSync(directory.path)).toEqual(["app.db"]);
  });

  it("touches nothing of the old database when the restore fails", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    leaveDatabaseWithWal(output);
    const before = readdirSync(directory.path).map((name) => sha256(join(directory.path, name)));
    const early = { output, force: true, timestamp: new Date(0) };
    expect(await failureOf(early)).toContain("replica/unreachable-time");
    const after = readdirSync(directory.path).map((name) => sha256(join(directory.path, name)));
    expect(after).toEqual(before);
    expect(rowsIn(output)).toBe(3);
  });

  it("refuses while another program has the old database open", async () => {
    using directory = temporaryDirectory();
    const output = join(directory.path, "app.db");
    leaveDatabaseWithWal(output);
    const program = spawn(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        `import { DatabaseSync } from "node:sqlite";
         const database = new DatabaseSync(${JSON.stringify(output)});
         database.exec("SELECT * FROM t");
         console.log("open");
         setInterval(() => undefined, 1000);`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    try {
      await once(program.stdout, "data");
      const failure = await failureOf({ output, force: true });
      expect(failure).toContain("is open in another program");
      expect(rowsIn(output)).toBe(3);
    } finally {
      program.kill("SIGKILL");
      await once(program, "exit");
    }
    expect(await failureOf({ output, force: true })).toBe("ok");
  });

  it("leaves the old database with its WAL or the new one without, wherever the machine stops", async () => {
    let isDone = false;
    let replaced = 0;
    for (let crashAt = 1; !isDone; crashAt++) {
      using directory = temporaryDirectory();
      const output = join(directory.path, "app.db");
      leaveDatabaseWithWal(output);
      const fileSystem = crashingFileSystem(nodeFileSystem, crashAt);
      const real = systemEnvironment();
      const failure: unknown = await restoreIn(
        { ...real, fileSystem },
        { replica, output, force: true },
      ).catch((error: unknown) => error);
      isDone = fileSystem.changes < crashAt;
      expect(failure instanceof CrashError).toBe(!isDone);
      const isNew = sha256(output) === newSha256;
      if (isNew) replaced++;
      const found = isNew
        ? ["-wal", "-journal"].filter((suffix) => existsSync(output + suffix))
        : rowsIn(output);
      expect(`stopped at ${crashAt}: ${JSON.stringify(found)}`).toBe(
        `stopped at ${crashAt}: ${isNew ? "[]" : "3"}`,
      );
      expect(isNew || !isDone).toBe(true);
    }
    expect(replaced).toBeGreaterThan(1);
  });
});

describe("an output that cannot be written", () => {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) console.log("skipped: a test that drops root needs to be root");

  it.skipIf(!isRoot)("is an error that names the path when permission is missing", () => {
    using directory = temporaryDirectory();
    chmodSync(directory.path, 0o755);
    chmodSync(set.path, 0o755);
    const closed = join(directory.path, "closed");
    mkdirSync(closed, { mode: 0o755 });
    const child = fileURLToPath(
      new URL("../../../test/support/restore-as-nobody.ts", import.meta.url),
    );
    const run = (output: string): string =>
      execFileSync(process.execPath, [child, replica, output], { encoding: "utf8" });
    const output = join(closed, "app.db");
    expect(run(output)).toContain(
      `restore/output ${output} cannot be written: permission is denied`,
    );
    expect(readdirSync(closed)).toEqual([]);
    chmodSync(closed, 0o777);
    expect(run(output)).toBe("ok\n");
  });

  it("is an error that says so when the disk is full, and leaves nothing", async ({ skip }) => {
    using directory = temporaryDirectory();
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=100k", "tmpfs", directory.path], {
        stdio: "pipe",
      });
    } catch {
      console.log("skipped: a full disk needs mount, which is refused here");
      skip("mounting is refused");
    }
    try {
      const output = join(directory.path, "app.db");
      const failure = await failureOf({ output, txid: set.restores.at(-2)?.txid });
      expect(failure).toContain("restore/output");
      expect(failure).toContain("no space left");
      expect(readdirSync(directory.path)).toEqual([]);
    } finally {
      execFileSync("umount", [directory.path]);
    }
  });
});
