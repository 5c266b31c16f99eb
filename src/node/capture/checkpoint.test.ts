import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  attached,
  CaptureFixture,
  drain,
  hastyClock,
  insertBlob,
  noDrain,
  table,
  takeImage,
} from "../../../test/support/capture-fixture.ts";
import { Child } from "../../../test/support/children.ts";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import { hasPython, SqliteProcess } from "../../../test/support/sqlite-process.ts";

describe("the guard", () => {
  it("keeps everybody from resetting the WAL while something is pending, and survives our checkpoints", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    await other.exec("PRAGMA busy_timeout=0");
    for (let round = 0; round < 3; round++) {
      await setup.app.exec(insertBlob(5000));
      setup.capture.capture();
      await setup.app.exec(insertBlob(5000));
      const [report] = await other.all("PRAGMA wal_checkpoint(TRUNCATE)");
      expect(report).toMatchObject({ busy: 1 });
      expect(setup.capture.capture().transactions).toBe(2);
      await setup.expectTruth();
      await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
    }
  });

  it("keeps images in memory that the next generation of the WAL overwrites", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(50_000));
    // Nothing is staged: the whole tail is still pending when the WAL may be reset.
    const outcome = await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
    expect(outcome).toMatchObject({ complete: true });
    const before = setup.capture.position;
    await setup.app.exec(`${insertBlob(10)}; ${insertBlob(90_000)}`);
    expect(setup.capture.capture()).toMatchObject({ transactions: 3 });
    expect(setup.capture.position.salt2).not.toBe(before.salt2);
    await setup.expectTruth();
  });

  it("keeps images in memory that are overwritten between a bulk round and the seal", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    // More than 1,000 frames, less than 8 MiB of distinct pages: the bulk round alone completes the checkpoint.
    await setup.app.exec(insertBlob(3_000_000));
    for (let i = 0; i < 3; i++) await setup.app.exec("UPDATE item SET body = randomblob(3000000)");
    let calls = 0;
    const outcome = await setup.capture.checkpoint({
      mode: "passive",
      drain: async () => {
        if (++calls === 2) await setup.app.exec("UPDATE item SET body = randomblob(2000000)");
      },
    });
    expect(calls).toBe(2);
    expect(outcome).toMatchObject({ complete: true });
    await setup.expectTruth();
  });

  it("seals nothing while more is pending than memory should hold, and nothing is lost", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(12_000_000));
    const early = await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
    expect(early).toMatchObject({ complete: false, writeLockMs: 0 });
    await setup.app.exec("UPDATE item SET body = randomblob(11000000)");
    await setup.expectTruth();
    const outcome = await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
    expect(outcome).toMatchObject({ complete: true });
    await setup.app.exec(insertBlob(10));
    await setup.expectTruth();
    expect(setup.capture.walFrames).toBeLessThan(10);
  });

  it("leaves mark 0 once the new generation has frames, so that others can backfill again", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    await setup.app.exec(insertBlob(5000));
    await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
    await setup.app.exec(insertBlob(5000));
    const [blocked] = await other.all("PRAGMA wal_checkpoint(PASSIVE)");
    expect(blocked).toMatchObject({ checkpointed: 0 });
    setup.capture.capture();
    const [report] = await other.all("PRAGMA wal_checkpoint(PASSIVE)");
    expect(report?.["checkpointed"]).toBe(report?.["log"]);
    await setup.expectTruth();
  });
});

describe("a checkpoint", () => {
  it("empties the WAL file from mark 0, and capture goes on without a gap", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    for (let round = 0; round < 3; round++) {
      await setup.app.exec(insertBlob(50_000));
      const outcome = await setup.capture.checkpoint({ mode: "truncate", drain: noDrain });
      expect(outcome).toMatchObject({ mode: "truncate", complete: true });
      expect(setup.capture.walSizeBytes).toBe(0);
    }
    await setup.app.exec(insertBlob(50_000));
    await setup.expectTruth();
  });

  it.skipIf(!hasPython)(
    "waits for a checkpoint of somebody else, and then does its own",
    async () => {
      using fixture = new CaptureFixture();
      await using app = new SqliteProcess(fixture.path);
      await app.exec(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; ${table}`);
      // Holds SQLite's checkpoint lock, byte 121 of the wal-index.
      const holdLock = `import fcntl, sys; f = open(sys.argv[1], "r+b")
fcntl.lockf(f, fcntl.LOCK_EX, 1, 121); print("locked", flush=True); sys.stdin.read()`;
      await using holder = new Child("python3", ["-c", holdLock, `${fixture.path}-shm`]);
      let waits = 0;
      const sleep = async (): Promise<void> => {
        if (++waits === 3) await holder.end();
      };
      await using capture = await fixture.open({ clock: { ...hastyClock, sleep } });
      await app.exec(insertBlob(6_000_000));
      await holder.line((line) => line === "locked");
      const outcome = await capture.checkpoint({ mode: "passive", drain: noDrain });
      expect(outcome).toMatchObject({ complete: true });
      expect(waits).toBe(3);
      expect(capture.capture().transactions).toBe(1);
    },
  );

  it("does what it can beside a long reader, and the rest later", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using reader = new SqliteProcess(fixture.path);
    await setup.app.exec(insertBlob(50_000));
    await reader.exec("BEGIN");
    await reader.all("SELECT count(*) FROM item");
    for (let i = 0; i < 4; i++) await setup.app.exec(insertBlob(3_000_000));
    const blocked = await setup.capture.checkpoint({
      mode: "truncate",
      drain: async () => {
        drain(setup.capture, setup.image);
      },
    });
    expect(blocked).toMatchObject({ mode: "passive", complete: false });
    expect(blocked?.backfilledFrames).toBeGreaterThan(0);
    await setup.expectTruth();
    await reader.exec("COMMIT");
    const outcome = await setup.capture.checkpoint({ mode: "truncate", drain: noDrain });
    expect(outcome).toMatchObject({ mode: "truncate", complete: true });
    await setup.app.exec(insertBlob(10));
    await setup.expectTruth();
  });

  it("gives up after its budget when a writer holds on to the lock", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; ${table}`);
    await using capture = await fixture.open({ clock: hastyClock });
    await app.exec(`BEGIN; ${insertBlob(10)}`);
    const outcome = await capture.checkpoint({ mode: "passive", drain: noDrain });
    expect(outcome).toMatchObject({ complete: false, writeLockMs: 0 });
    await app.exec("COMMIT");
    expect(capture.capture().transactions).toBe(1);
  });

  it("does not run while a batch or an image is outstanding", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(5000));
    setup.capture.capture();
    const batch = setup.capture.takeBatch();
    expect(await setup.capture.checkpoint({ mode: "passive", drain: noDrain })).toBeUndefined();
    batch?.release();
    const image = await setup.capture.pinImage();
    expect(await setup.capture.checkpoint({ mode: "passive", drain: noDrain })).toBeUndefined();
    image.release();
    expect(await setup.capture.checkpoint({ mode: "passive", drain: noDrain })).toBeDefined();
  });

  it("ends with the signal's reason, and capture goes on", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(5000));
    const controller = new AbortController();
    const running = setup.capture.checkpoint({
      mode: "passive",
      drain: async () => controller.abort(new Error("enough")),
      signal: controller.signal,
    });
    await expect(running).rejects.toThrow("enough");
    await setup.expectTruth();
  });
});

/** A file system of 4 MB in `directory`, or why there is none. */
function mountSmall(directory: string): Disposable | string {
  mkdirSync(directory);
  const mount = ["-t", "tmpfs", "-o", "size=4m", "tmpfs", directory];
  const { status, stderr, error } = spawnSync("mount", mount, { encoding: "utf8" });
  if (status !== 0) return error?.message ?? stderr;
  return { [Symbol.dispose]: () => void spawnSync("umount", [directory]) };
}

describe("a full disk", () => {
  it("fails a checkpoint, not the guard, and nothing is lost", async ({ skip }) => {
    using fixture = new CaptureFixture();
    const directory = join(fixture.directory, "small");
    const mounted = mountSmall(directory);
    if (typeof mounted === "string") {
      skip(`cannot mount a small file system: ${mounted}`);
      return;
    }
    using _ = mounted;
    const path = join(directory, "app.db");
    await using app = new SqliteProcess(path);
    await app.exec(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; ${table}`);
    const capture = await fixture.openAt(path);
    const image = new AppliedImage();
    await takeImage(capture, image);
    await app.exec(insertBlob(1_500_000));
    const ballast = join(directory, "ballast");
    expect(() => writeFileSync(ballast, new Uint8Array(4_000_000))).toThrow("ENOSPC");
    const failing = capture.checkpoint({ mode: "passive", drain: noDrain });
    await expect(failing).rejects.toMatchObject({ code: "engine/disk-full", recovery: "retry" });
    rmSync(ballast);
    await app.exec(insertBlob(100));
    const outcome = await capture.checkpoint({ mode: "passive", drain: noDrain });
    expect(outcome).toMatchObject({ complete: true });
    await app.exec(insertBlob(100));
    expect(drain(capture, image)).toBe(3);
    expect(Buffer.compare(image.bytes, await app.truth())).toBe(0);
    await capture.close();
    await app.kill();
  });
});
