import { describe, expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import {
  assertSameBytes,
  CaptureFixture,
  drain,
  hastyClock,
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

const table = "CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB)";
const insertBlob = (sizeBytes: number): string =>
  `INSERT INTO item (body) VALUES (randomblob(${sizeBytes}))`;
const noDrain = async (): Promise<void> => undefined;

/** A database in WAL mode, an application on it, an attached capture and its first image. */
async function attached(fixture: CaptureFixture, schema = table) {
  const app = new SqliteProcess(fixture.path);
  await app.exec(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; ${schema}`);
  const capture = await fixture.open();
  const image = new AppliedImage();
  await takeImage(capture, image);
  return {
    app,
    capture,
    image,
    /** Stages everything; the result must be what SQLite sees. */
    async expectTruth(): Promise<void> {
      drain(capture, image);
      assertSameBytes(image.bytes, await app.truth());
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await capture.close();
      await app[Symbol.asyncDispose]();
    },
  };
}

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

  it("stays doubled while more is pending than memory should hold, and nothing is lost", async () => {
    using fixture = new CaptureFixture();
    await using setup = await attached(fixture);
    await setup.app.exec(insertBlob(12_000_000));
    expect(await setup.capture.checkpoint({ mode: "passive", drain: noDrain })).toBeUndefined();
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
