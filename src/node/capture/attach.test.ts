import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import {
  assertSameBytes,
  CaptureFixture,
  hastyClock,
  takeImage,
} from "../../../test/support/capture-fixture.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";

const script = (name: string): string =>
  fileURLToPath(new URL(`../../../test/support/${name}`, import.meta.url));

/** A small database without an open connection, in WAL or rollback mode. */
async function makeDatabase(path: string, pragmas = "PRAGMA journal_mode=WAL"): Promise<void> {
  await using app = new SqliteProcess(path);
  await app.exec(`${pragmas}; CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB)`);
  await app.exec("INSERT INTO item (body) VALUES (randomblob(9000))");
  await app.close();
}

const openDescriptors = (): number => readdirSync("/dev/fd").length;

describe("attaching is refused in plain words, and leaves nothing open, for", () => {
  const cases: readonly (readonly [string, string, (path: string) => void])[] = [
    ["a missing file", "capture/gone", () => undefined],
    ["a missing directory", "capture/gone", () => undefined],
    ["an empty file", "capture/empty", (path) => writeFileSync(path, "")],
    ["a directory", "capture/not-a-database", (path) => mkdirSync(path)],
    ["a text", "capture/not-a-database", (path) => writeFileSync(path, "hello\n".repeat(2000))],
    ["a short file", "capture/not-a-database", (path) => writeFileSync(path, "SQLite format 3\0")],
    [
      "an encrypted file",
      "capture/not-a-database",
      (path) =>
        writeFileSync(
          path,
          Uint8Array.from({ length: 8192 }, (_, i) => (i * 167 + 13) % 251),
        ),
    ],
  ];
  it.each(cases)("%s (%s)", async (name, code, make) => {
    using fixture = new CaptureFixture();
    const path = name === "a missing directory" ? join(fixture.path, "app.db") : fixture.path;
    make(path);
    const before = openDescriptors();
    const opening = fixture.openAt(path);
    await expect(opening).rejects.toMatchObject({ code });
    await expect(opening).rejects.toThrow(path);
    expect(openDescriptors()).toBe(before);
  });

  it("a database whose header is garbage behind the magic", async () => {
    using fixture = new CaptureFixture();
    writeFileSync(fixture.path, `SQLite format 3\0${"\u{1}".repeat(5000)}`);
    await expect(fixture.open()).rejects.toMatchObject({ code: "capture/not-a-database" });
  });

  it("a database that we may not read", async () => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path);
    chmodSync(fixture.directory, 0o777);
    chmodSync(fixture.path, 0o600);
    expect(attachUnprivileged(fixture.path)).toContain("capture/unreadable");
  });

  it("a database in a directory that we may not write", async () => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path);
    chmodSync(fixture.directory, 0o755);
    chmodSync(fixture.path, 0o666);
    expect(attachUnprivileged(fixture.path)).toContain("capture/unreadable");
  });

  it.each(["WAL", "DELETE"])(
    "an application with locking_mode=EXCLUSIVE in %s mode, until it leaves",
    async (mode) => {
      using fixture = new CaptureFixture();
      await using app = new SqliteProcess(fixture.path);
      await app.exec(
        `PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=${mode}; CREATE TABLE a (x)`,
      );
      const before = openDescriptors();
      await expect(fixture.open()).rejects.toMatchObject({
        code: "capture/locked",
        recovery: "retry",
      });
      expect(openDescriptors()).toBe(before);
      await app.close();
      await using capture = await fixture.open();
      expect(capture.pageSize).toBe(4096);
    },
  );

  it("a writer that does not end its transaction", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE a (x); BEGIN IMMEDIATE");
    await expect(fixture.open({ clock: hastyClock })).rejects.toMatchObject({
      code: "capture/locked",
    });
    await app.exec("COMMIT");
    await using capture = await fixture.open();
    expect(capture.commit).toBe(2);
  });
});

function attachUnprivileged(path: string): string {
  const child = spawnSync(process.execPath, [script("unprivileged-attach.ts"), path], {
    encoding: "utf8",
  });
  return child.stdout + child.stderr;
}

describe("attaching", () => {
  it.each([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])(
    "finds size and content of a closed database with pages of %i bytes",
    async (pageSize) => {
      using fixture = new CaptureFixture();
      await makeDatabase(fixture.path, `PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL`);
      await using capture = await fixture.open();
      expect(capture.pageSize).toBe(pageSize);
      expect(capture.commit).toBe(statSync(fixture.path).size / pageSize);
      const image = new AppliedImage();
      await takeImage(capture, image);
      await using app = new SqliteProcess(fixture.path);
      assertSameBytes(image.bytes, await app.truth());
    },
  );

  it("switches a rollback-journal database to WAL mode, says so, and it stays switched while attached", async () => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path, "PRAGMA journal_mode=DELETE");
    await using app = new SqliteProcess(fixture.path);
    await app.all("SELECT count(*) FROM item");
    const capture = await fixture.open();
    expect(fixture.events).toEqual(["capture.switched-to-wal"]);
    await app.exec("INSERT INTO item (body) VALUES (1)");
    expect(capture.capture().transactions).toBe(1);
    await app.exec("PRAGMA busy_timeout=0");
    await expect(app.all("PRAGMA journal_mode=DELETE")).rejects.toThrow("locked");
    await capture.close();
  });

  it("waits with the switch while the application is in a transaction", async () => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path, "PRAGMA journal_mode=DELETE");
    await using app = new SqliteProcess(fixture.path);
    await app.exec("BEGIN IMMEDIATE; INSERT INTO item (body) VALUES (1)");
    await expect(fixture.open()).rejects.toMatchObject({ code: "capture/locked" });
    await app.exec("COMMIT");
    await using capture = await fixture.open();
    expect(capture.walFrames).toBe(0);
  });

  it("follows a symbolic link and works beside the real file", async () => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path);
    const link = join(fixture.directory, "link.db");
    symlinkSync(fixture.path, link);
    await using capture = await fixture.openAt(link);
    expect(capture.path).toBe(fixture.path);
    expect(capture.checkIdentity()).toBe("same");
  });

  it("works on a path with characters that mean something in a URL", async () => {
    using fixture = new CaptureFixture();
    const path = join(fixture.directory, "a #%20?&mode=memory.db");
    await makeDatabase(path);
    await using capture = await fixture.openAt(path);
    expect(capture.path).toBe(path);
    expect(capture.commit).toBeGreaterThan(1);
  });

  it("keeps the WAL even if the process just ends", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE a (x)");
    const child = spawnSync(process.execPath, [script("careless-attach.ts"), fixture.path], {
      encoding: "utf8",
    });
    expect(child.stderr).toBe("");
    expect(statSync(`${fixture.path}-wal`).size).toBe(Number(child.stdout));
  });

  it("keeps the WAL of an application that was killed, when the process just ends", async () => {
    using fixture = new CaptureFixture();
    const app = new SqliteProcess(fixture.path);
    await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE a (x)");
    await app.kill();
    const child = spawnSync(process.execPath, [script("careless-attach.ts"), fixture.path], {
      encoding: "utf8",
    });
    expect(Number(child.stdout)).toBeGreaterThan(0);
    expect(statSync(`${fixture.path}-wal`).size).toBe(Number(child.stdout));
  });
});

describe("the identity of the file", () => {
  const cases: readonly (readonly [string, string, (path: string) => void])[] = [
    ["same", "something happens beside it", (path) => appendFileSync(`${path}.other`, "x")],
    ["missing", "it is renamed", (path) => renameSync(path, `${path}.old`)],
    ["replaced", "another file takes its place", (path) => renameSync(`${path}.copy`, path)],
    ["replaced", "its WAL is deleted", (path) => unlinkSync(`${path}-wal`)],
    ["replaced", "its wal-index is replaced", (path) => renameSync(`${path}.copy`, `${path}-shm`)],
    ["truncated", "it is cut to nothing", (path) => truncateSync(path)],
    ["truncated", "its last page is cut off", (path) => truncateSync(path, 8192)],
  ];
  it.each(cases)("is '%s' when %s", async (expected, _, change) => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path);
    copyFileSync(fixture.path, `${fixture.path}.copy`);
    await using capture = await fixture.open();
    change(fixture.path);
    expect(capture.checkIdentity()).toBe(expected);
  });

  it("is asked before an exact position is taken again", async () => {
    using fixture = new CaptureFixture();
    await makeDatabase(fixture.path);
    await using capture = await fixture.open();
    renameSync(fixture.path, `${fixture.path}.old`);
    await expect(capture.reposition()).rejects.toMatchObject({ code: "capture/gone" });
  });
});
