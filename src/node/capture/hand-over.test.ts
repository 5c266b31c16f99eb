import { describe, expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import {
  assertSameBytes,
  attached,
  CaptureFixture,
  drain,
  insertBlob,
  table,
} from "../../../test/support/capture-fixture.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { must } from "../../core/base/assert.ts";
import { silentLogger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { attach } from "./attach.ts";
import { PendingBatch } from "./batch.ts";
import { fillGrowth } from "./growth.ts";
import { HandOver, type Outstanding } from "./hand-over.ts";
import { PendingPages } from "./pending.ts";

/** A checkpoint of somebody else: whether the guard lets everything that is committed be copied. */
async function canCopyAll(other: SqliteProcess): Promise<boolean> {
  const [report] = await other.all("PRAGMA wal_checkpoint(PASSIVE)");
  return report?.["checkpointed"] === report?.["log"];
}

describe("the guard follows a fast writer", () => {
  it("every few MiB although nothing is staged, and the WAL is not reset", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    await other.exec("PRAGMA busy_timeout=0");
    await setup.app.exec(insertBlob(10));
    setup.capture.capture();
    for (let round = 0; round < 3; round++) {
      await setup.app.exec(insertBlob(1_000_000));
      setup.capture.capture();
      expect(await canCopyAll(other)).toBe(false);
      await setup.app.exec(insertBlob(4_000_000));
      setup.capture.capture();
      expect(await canCopyAll(other)).toBe(true);
      const [report] = await other.all("PRAGMA wal_checkpoint(TRUNCATE)");
      expect(report).toMatchObject({ busy: 1 });
    }
    expect(setup.capture.capture()).toMatchObject({ transactions: 7, more: false });
    await setup.expectTruth();
  });

  it("not while more is committed than one batch should hold", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    for (let n = 0; n < 3; n++) await setup.app.exec(insertBlob(4_000_000));
    expect(setup.capture.capture({ maxBytes: 6_000_000 })).toMatchObject({ more: true });
    expect(await canCopyAll(other)).toBe(false);
    await setup.expectTruth();
  });

  it("while a batch is read, which stays as it was", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    await setup.app.exec(insertBlob(100_000));
    setup.capture.capture();
    const truth = await setup.app.truth();
    const batch = must(setup.capture.takeBatch(), "a batch");
    await setup.app.exec("UPDATE item SET body = randomblob(5000000)");
    setup.capture.capture();
    expect(await canCopyAll(other)).toBe(true);
    setup.image.apply(batch);
    assertSameBytes(setup.image.bytes, truth);
    batch.release();
    await setup.expectTruth();
  });

  it("not while a batch has a page that lies in the database file alone", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await using other = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; ${table}`);
    const options = { path: fixture.path, clock: systemClock, logger: silentLogger };
    const { files, guard, tracker } = await attach(options);
    using _ = { [Symbol.dispose]: () => (guard.close(), files.close()) };
    const pending = new PendingPages(1, files.pageSize);
    pending.add({ pgnos: Uint32Array.of(1), firstFrame: 1, commit: 2 });
    const batch = new PendingBatch(pending, {
      reader: tracker.reader,
      start: tracker.position,
      position: tracker.position,
      pageSize: files.pageSize,
      onRelease: () => undefined,
    });
    const { pageSize } = files;
    const outstanding = (): Outstanding => ({ batch, hasImage: false });
    const handOver = new HandOver(guard, tracker, { pageSize, outstanding });
    const follow = async (): Promise<boolean> => {
      await app.exec(insertBlob(5_000_000));
      handOver.improve({ isComplete: tracker.advance() === "complete" });
      return canCopyAll(other);
    };
    expect(await follow()).toBe(true);
    fillGrowth(pending, files, 1);
    expect(await follow()).toBe(false);
  });

  it("not while an image is pinned", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    await setup.app.exec(insertBlob(100_000));
    drain(setup.capture, setup.image);
    const image = await setup.capture.pinImage();
    await setup.app.exec("UPDATE item SET body = randomblob(5000000)");
    setup.capture.capture();
    expect(await canCopyAll(other)).toBe(false);
    const pinned = new AppliedImage();
    pinned.replace(image);
    assertSameBytes(pinned.bytes, setup.image.bytes);
    image.release();
    await setup.expectTruth();
  });

  it("while a checkpoint waits for what is being staged", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await using other = new SqliteProcess(fixture.path);
    await setup.app.exec(insertBlob(10));
    const seen: boolean[] = [];
    const outcome = await setup.capture.checkpoint({
      mode: "passive",
      drain: async () => {
        if (seen.length > 0) return;
        await setup.app.exec(insertBlob(5_000_000));
        setup.capture.capture();
        seen.push(await canCopyAll(other));
      },
    });
    expect(seen).toEqual([true]);
    expect(outcome).toMatchObject({ complete: true });
    await setup.app.exec(insertBlob(10));
    await setup.expectTruth();
  });
});
