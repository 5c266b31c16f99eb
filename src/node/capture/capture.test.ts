import { describe, expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import {
  assertSameBytes,
  attached,
  CaptureFixture,
  drain,
  insertBlob,
  noDrain,
  table,
  takeImage,
} from "../../../test/support/capture-fixture.ts";
import { hasPython, SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { appendPhantom, tearWalIndex } from "../../../test/support/sabotage.ts";
import { seededRandom, workloadSchema } from "../../../test/support/workload.ts";
import { systemClock } from "../base/clock.ts";

describe("what is captured equals the source, byte for byte", () => {
  const cases = [
    { pageSize: 512, vacuum: "INCREMENTAL", seed: 1 },
    { pageSize: 1024, vacuum: "FULL", seed: 2 },
    { pageSize: 4096, vacuum: "NONE", seed: 3 },
    { pageSize: 4096, vacuum: "INCREMENTAL", seed: 4 },
    { pageSize: 65536, vacuum: "INCREMENTAL", seed: 5 },
  ];
  it.each(cases)(
    "for random transactions, checkpoints by everybody and restarts, page size $pageSize, auto_vacuum $vacuum, seed $seed",
    async ({ pageSize, vacuum, seed }) => {
      using fixture = new CaptureFixture();
      await using app = new SqliteProcess(fixture.path);
      await using other = new SqliteProcess(fixture.path);
      await app.exec(
        `PRAGMA page_size=${pageSize}; PRAGMA auto_vacuum=${vacuum}; PRAGMA journal_mode=WAL; ${workloadSchema}`,
      );
      const random = seededRandom(seed);
      const image = new AppliedImage();
      let capture = await fixture.open();
      try {
        await takeImage(capture, image);
        for (let step = 0; step < 60; step++) {
          const transactions = 1 + Math.floor(random() * 6);
          const committed = await app.workload({
            seed: seed * 1000 + step,
            transactions,
            vacuum: true,
          });
          const context = `seed ${seed}, step ${step}`;
          const kind = random();
          let captured = 0;
          const stage = async (): Promise<void> => {
            captured += drain(capture, image, 30_000);
          };
          if (kind < 0.3) {
            await stage();
          } else if (kind < 0.6) {
            const mode = kind < 0.45 ? "passive" : "truncate";
            capture.capture();
            await capture.checkpoint({ mode, drain: stage });
            await stage();
          } else if (kind < 0.8) {
            const mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][Math.floor(random() * 4)];
            await other.exec("PRAGMA busy_timeout=0");
            await other.all(`PRAGMA wal_checkpoint(${mode})`);
            await stage();
          } else if (kind < 0.9) {
            await takeImage(capture, image);
            captured = committed;
          } else {
            await stage();
            const { position } = capture;
            await capture.close();
            capture = await fixture.open({ resumeAt: position });
            if (capture.resumed !== position.frame > 0) throw new Error(`${context}: resume`);
            if (!capture.resumed) await takeImage(capture, image);
          }
          expect({ context, captured }).toEqual({ context, captured: committed });
          if (step % 5 === 0) assertSameBytes(image.bytes, await app.truth(), context);
        }
        expect(image.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
        assertSameBytes(image.bytes, await app.truth(), `seed ${seed}, end`);
      } finally {
        await capture.close();
      }
    },
  );
});

describe("pending transactions", () => {
  it.skipIf(!hasPython)(
    "are captured from another SQLite version too (needs python3)",
    async () => {
      using fixture = new CaptureFixture();
      await using setup = await attached(fixture);
      await using python = new SqliteProcess(fixture.path, "python");
      await python.exec(`BEGIN; ${insertBlob(9000)}; COMMIT; ${insertBlob(100)}`);
      expect(setup.capture.capture()).toMatchObject({ transactions: 2, more: false });
      await setup.expectTruth();
    },
  );

  it("stop at the first commit at or past the limit, and go on from there", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    for (let i = 0; i < 5; i++) await setup.app.exec(insertBlob(20_000));
    const frameBytes = 4096 + 24;
    expect(setup.capture.capture({ maxBytes: 1 })).toMatchObject({ transactions: 1, more: true });
    expect(setup.capture.capture({ maxBytes: 1 })).toMatchObject({ transactions: 1, more: true });
    expect(setup.capture.capture({ maxBytes: 12 * frameBytes })).toMatchObject({
      transactions: 2,
      more: true,
    });
    expect(setup.capture.capture()).toMatchObject({ transactions: 5, more: false });
    await setup.expectTruth();
  });

  it("hold the last image of a page only, and nothing that was rolled back", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(10));
    setup.capture.takeBatch()?.release();
    const { position } = setup.capture;
    await setup.app.exec(
      "UPDATE item SET body = randomblob(10); UPDATE item SET body = randomblob(11)",
    );
    // Spills to the WAL, then rolls back.
    await setup.app.exec(
      `PRAGMA cache_size=5; BEGIN; ${insertBlob(900_000)}; UPDATE item SET body = 1; ROLLBACK`,
    );
    const summary = setup.capture.capture();
    expect(summary.transactions).toBe(3);
    expect(summary.pageCount).toBe(1);
    expect(setup.capture.position.frame).toBe(position.frame + 3);
    await setup.expectTruth();
  });

  it("equal the source after the database has shrunk and grown again", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture, `PRAGMA auto_vacuum=INCREMENTAL; VACUUM; ${table}`);
    const regrow = async (): Promise<void> => {
      await setup.app.exec(`${insertBlob(400_000)}; DELETE FROM item`);
      await setup.app.all("PRAGMA incremental_vacuum");
      await setup.app.exec(`BEGIN; ${insertBlob(300_000)}; DELETE FROM item; COMMIT`);
    };
    await regrow();
    await setup.expectTruth();
    await setup.app.exec(insertBlob(500_000));
    await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
    await setup.app.exec("DELETE FROM item");
    await regrow();
    await setup.expectTruth();
    expect(setup.capture.commit * 4096).toBe(setup.image.bytes.length);
  });

  it("ignore a transaction that is whole in the WAL file but was never published", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(100));
    setup.capture.capture();
    const { position } = setup.capture;
    appendPhantom(fixture.path, position, setup.capture.pageSize);
    expect(setup.capture.capture().transactions).toBe(1);
    expect(setup.capture.position).toEqual(position);
    // SQLite does not know it either: the next commit overwrites it.
    await setup.app.exec(insertBlob(100));
    expect(setup.capture.capture().transactions).toBe(2);
    await setup.expectTruth();
  });

  it("are those that SQLite kept when writers are killed in the middle of their work", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture, workloadSchema);
    for (let round = 1; round <= 6; round++) {
      const victim = new SqliteProcess(fixture.path);
      const running = victim.workload({ seed: round, transactions: 10_000, heavyShare: 0.2 });
      const ended = running.catch((error: unknown) => error);
      let captured = 0;
      while (captured < 7 * round) {
        await systemClock.sleep(1, {});
        captured += drain(setup.capture, setup.image, 50_000);
      }
      await victim.kill();
      expect(await ended).toBeInstanceOf(Error);
      // The next commit overwrites what the victim may have written but not published; a mere copy of the files, as
      // the truth is made from, would bring that to life.
      await setup.app.exec("CREATE TABLE IF NOT EXISTS trace (x); INSERT INTO trace VALUES (1)");
      await setup.expectTruth();
      expect(setup.image.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    }
  });

  it("go on over a recovery of the wal-index, which starts SQLite's change counter anew", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    for (let i = 0; i < 3; i++) await setup.app.exec(insertBlob(100));
    drain(setup.capture, setup.image);
    tearWalIndex(fixture.path);
    await setup.app.exec(insertBlob(100));
    expect(setup.capture.capture().transactions).toBe(1);
    expect(fixture.events).toContain("capture.rebased");
    await setup.expectTruth();
  });

  it("are found although a dying writer left the wal-index torn and nobody else comes", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(100));
    await setup.app.close();
    tearWalIndex(fixture.path);
    setup.capture.capture();
    expect(setup.capture.capture().transactions).toBe(1);
    await setup.expectTruth();
  });
});

describe("a pinned image", () => {
  it.each(["with frames in the WAL", "with everything in the database file"])(
    "stays as it was while others write and checkpoint, %s",
    async (state) => {
      using fixture = new CaptureFixture();
      await using setup = await attached(fixture);
      await using other = new SqliteProcess(fixture.path);
      await other.exec("PRAGMA busy_timeout=0");
      await setup.app.exec(`${insertBlob(200_000)}; ${insertBlob(100)}`);
      if (state !== "with frames in the WAL") {
        await setup.capture.checkpoint({ mode: "passive", drain: noDrain });
      }
      const truth = await setup.app.truth();
      const source = await setup.capture.pinImage();
      const pinned = new AppliedImage();
      for (const mode of ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]) {
        await setup.app.exec(`UPDATE item SET body = randomblob(150000)`);
        await other.all(`PRAGMA wal_checkpoint(${mode})`);
        setup.capture.capture();
        pinned.replace(source);
        assertSameBytes(pinned.bytes, truth, mode);
      }
      expect(source.commit).toBe(truth.length / source.pageSize);
      source.release();
      setup.image.replaceBy(pinned);
      await setup.expectTruth();
    },
  );

  it("comes with the batch that leads to it, also if a commit was seen by nobody before", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(9000));
    drain(setup.capture, setup.image);
    await setup.app.exec(insertBlob(5000));
    setup.capture.capture();
    await setup.app.exec(insertBlob(3000));
    const { image, batch } = await setup.capture.pinWithBatch();
    expect(batch?.transactions).toBe(2);
    expect(batch?.position).toEqual(image.position);
    if (batch !== undefined) setup.image.apply(batch);
    batch?.release();
    const pinned = new AppliedImage();
    await setup.app.exec(insertBlob(100));
    pinned.replace(image);
    assertSameBytes(pinned.bytes, setup.image.bytes);
    expect(
      (await setup.capture.checkpoint({ mode: "passive", drain: noDrain }))?.complete,
    ).not.toBe(true);
    image.release();
    expect(drain(setup.capture, setup.image)).toBe(1);
    await setup.expectTruth();
  });

  it("comes without a batch if nothing was pending", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(9000));
    drain(setup.capture, setup.image);
    const { image, batch } = await setup.capture.pinWithBatch();
    expect(batch).toBeUndefined();
    image.release();
    await setup.expectTruth();
  });
});

describe("closing and coming back", () => {
  it("keeps the WAL, and resumes exactly with what was committed meanwhile", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; ${table}`);
    const image = new AppliedImage();
    const first = await fixture.open();
    await takeImage(first, image);
    await app.exec(insertBlob(9000));
    drain(first, image);
    const { position } = first;
    await app.close();
    await first.close();
    await app.exec(insertBlob(9000));
    const second = await fixture.open({ resumeAt: position });
    expect(second.resumed).toBe(true);
    expect(drain(second, image)).toBe(1);
    assertSameBytes(image.bytes, await app.truth());
    await second.close();
    await second.close();
  });

  it.each(["RESTART", "TRUNCATE"])(
    "does not resume after a foreign %s checkpoint",
    async (mode) => {
      using fixture = new CaptureFixture();
      await using app = new SqliteProcess(fixture.path);
      await app.exec(`PRAGMA journal_mode=WAL; ${table}`);
      const first = await fixture.open();
      await app.exec(insertBlob(9000));
      first.capture();
      const { position } = first;
      await first.close();
      await app.exec(insertBlob(9000));
      await app.all(`PRAGMA wal_checkpoint(${mode})`);
      await app.exec(`${insertBlob(9000)}; ${insertBlob(9000)}; ${insertBlob(9000)}`);
      await using second = await fixture.open({ resumeAt: position });
      expect(second.resumed).toBe(false);
      const image = new AppliedImage();
      await takeImage(second, image);
      assertSameBytes(image.bytes, await app.truth());
    },
  );

  it("resumes with what others have checkpointed meanwhile, although the next commit overwrites it", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; ${table}`);
    const image = new AppliedImage();
    const first = await fixture.open();
    await app.exec(insertBlob(9000));
    await takeImage(first, image);
    const { position } = first;
    await first.close();
    await app.exec(insertBlob(90_000));
    await app.all("PRAGMA wal_checkpoint(PASSIVE)");
    await using second = await fixture.open({ resumeAt: position });
    expect(second.resumed).toBe(true);
    await app.exec(insertBlob(100));
    expect(drain(second, image)).toBe(2);
    // The new generation of the WAL has begun.
    expect(second.position.salt2).not.toBe(position.salt2);
    assertSameBytes(image.bytes, await app.truth());
  });

  it("does not resume if what others have checkpointed is more than memory should hold", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; ${table}`);
    const first = await fixture.open();
    await app.exec(insertBlob(9000));
    first.capture();
    const { position } = first;
    await first.close();
    await app.exec(insertBlob(12_000_000));
    await app.all("PRAGMA wal_checkpoint(PASSIVE)");
    await using second = await fixture.open({ resumeAt: position });
    expect(second.resumed).toBe(false);
    const image = new AppliedImage();
    await takeImage(second, image);
    await app.exec(insertBlob(100));
    expect(drain(second, image)).toBe(1);
    assertSameBytes(image.bytes, await app.truth());
  });

  it("does not resume at frame 0, where nothing can be compared", async () => {
    using fixture = new CaptureFixture();
    await using app = new SqliteProcess(fixture.path);
    await app.exec(`PRAGMA journal_mode=WAL; ${table}`);
    await app.close();
    const first = await fixture.open();
    const { position } = first;
    expect(position.frame).toBe(0);
    await first.close();
    await using second = await fixture.open({ resumeAt: position });
    expect(second.resumed).toBe(false);
  });

  it("finds its exact position again on request and drops what was pending", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(9000));
    setup.capture.capture();
    await setup.app.exec(insertBlob(9000));
    await setup.capture.reposition();
    expect(setup.capture.capture()).toEqual({ transactions: 0, pageCount: 0, more: false });
    await takeImage(setup.capture, setup.image);
    await setup.app.exec(insertBlob(9000));
    await setup.expectTruth();
  });
});
