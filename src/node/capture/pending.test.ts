import { statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import { CaptureFixture, takeImage } from "../../../test/support/capture-fixture.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { PendingBatch } from "./batch.ts";
import { closeKeepingWal, openConnection, readOnce } from "./connections.ts";
import { DatabaseFiles } from "./database-files.ts";
import { acquireDescriptors } from "./descriptors.ts";
import { fillGrowth } from "./growth.ts";
import { PageReader } from "./page-reader.ts";
import { PendingPages } from "./pending.ts";

const pageSize = 4096;
const transaction = (firstFrame: number, commit: number, ...pgnos: number[]) => ({
  pgnos: Uint32Array.from(pgnos),
  firstFrame,
  commit,
});

describe("pending pages", () => {
  it("keep the newest frame of each page, in page order", () => {
    const pending = new PendingPages(9, pageSize);
    pending.add(transaction(1, 9, 7, 3));
    pending.add(transaction(3, 9, 3));
    expect([...pending.pgnos()]).toEqual([3, 7]);
    expect(pending.placeOf(3)).toBe(3);
    expect(pending.placeOf(7)).toBe(1);
    expect(pending).toMatchObject({ transactions: 2, frames: 3, pageCount: 2 });
  });

  it("drop what lies above a smaller commit", () => {
    const pending = new PendingPages(9, pageSize);
    pending.add(transaction(1, 12, 1, 11, 12));
    pending.add(transaction(4, 5, 1));
    expect([...pending.pgnos()]).toEqual([1]);
    expect(pending.unreadPageCount).toBe(1);
  });

  it("miss what the database grew by without a frame, from the smallest size in between", () => {
    const pending = new PendingPages(9, pageSize);
    pending.add(transaction(1, 5, 1));
    pending.add(transaction(2, 8, 1, 7));
    expect(pending.missingGrowth()).toEqual([6, 8]);
  });

  it("never hold or miss the lock page", () => {
    const lock = 0x4000_0000 / pageSize + 1;
    const pending = new PendingPages(lock - 2, pageSize);
    pending.add(transaction(1, lock + 1, lock - 1, lock));
    expect([...pending.pgnos()]).toEqual([lock - 1]);
    expect(pending.missingGrowth()).toEqual([lock + 1]);
  });
});

describe("growth that SQLite did not write", () => {
  it("is read from the newest frame, else from the database file, else as zeros", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`
      PRAGMA journal_mode=WAL; CREATE TABLE a (x); CREATE TABLE b (x);
      INSERT INTO a VALUES (randomblob(30000)); INSERT INTO b VALUES (randomblob(30000));
      PRAGMA wal_checkpoint(TRUNCATE); UPDATE b SET x = randomblob(30000)`);
    const capture = await fixture.open();
    const image = new AppliedImage();
    await takeImage(capture, image);
    const descriptors = acquireDescriptors(capture.path);
    const paths = { given: fixture.path, real: capture.path };
    const files = new DatabaseFiles(descriptors, paths, pageSize);

    // As if one transaction had written page 1 only, and grown the database from page 1 to beyond the file.
    const commit = capture.commit + 2;
    const pending = new PendingPages(1, pageSize);
    const { position } = capture;
    pending.add(transaction(files.readFramePgnos(1, position.frame).lastIndexOf(1) + 1, commit, 1));
    fillGrowth(pending, files, position.frame);

    const places = [...pending.pgnos()].map((pgno) => pending.placeOf(pgno));
    expect(places.filter((place) => place === 0).length).toBeGreaterThan(5);
    expect(places.filter((place) => place !== 0).length).toBeGreaterThan(5);
    const batch = new PendingBatch(pending, {
      reader: new PageReader(files),
      start: position,
      position,
      pageSize,
      onRelease: () => undefined,
    });
    const grown = new AppliedImage();
    grown.apply(batch);
    const expected = new Uint8Array(commit * pageSize);
    expected.set(image.bytes);
    // Page 1 has no frame in this generation unless it was written; then it is compared too.
    expect(Buffer.compare(grown.bytes.subarray(pageSize), expected.subarray(pageSize))).toBe(0);

    files.close();
    await capture.close();
  });
});

describe("closing connections", () => {
  it("keeps the WAL although a connection that could write was the last to leave", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec("PRAGMA journal_mode=WAL; CREATE TABLE a (x)");
    const connection = openConnection(fixture.path, "read-write");
    readOnce(connection);
    await app.close();
    closeKeepingWal(fixture.path, [connection]);
    expect(statSync(`${fixture.path}-wal`).size).toBeGreaterThan(0);
  });
});
