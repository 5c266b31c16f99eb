import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AppliedImage } from "../../../test/support/applied-image.ts";
import { SqliteProcess } from "../../../test/support/sqlite-process.ts";
import { seededRandom, workloadSchema } from "../../../test/support/workload.ts";
import { silentLogger } from "../../core/base/log.ts";
import { systemClock } from "../base/clock.ts";
import { openCapture, type Capture } from "./capture.ts";
import type { CapturePosition } from "./capture-types.ts";

let directory = "";
let path = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headwater-capture-"));
  path = join(directory, "app.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const open = async (resumeAt?: CapturePosition): Promise<Capture> =>
  openCapture({ path, clock: systemClock, logger: silentLogger, resumeAt });

/** Applies everything that is committed, in batches of about `maxBytes`; returns the number of transactions. */
function drain(capture: Capture, image: AppliedImage, maxBytes?: number): number {
  let transactions = 0;
  for (;;) {
    const { more } = capture.capture({ maxBytes });
    const batch = capture.takeBatch();
    if (batch !== undefined) {
      transactions += batch.transactions;
      image.apply(batch);
      batch.release();
    }
    if (!more) return transactions;
  }
}

async function takeImage(capture: Capture, image: AppliedImage): Promise<void> {
  const source = await capture.pinImage();
  image.replace(source);
  source.release();
}

function expectSameBytes(actual: Uint8Array, expected: Uint8Array, context: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(`${context}: ${actual.length} and ${expected.length} bytes, differ at ${at}`);
}

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
      await using app = new SqliteProcess(path);
      await using other = new SqliteProcess(path);
      await app.exec(
        `PRAGMA page_size=${pageSize}; PRAGMA auto_vacuum=${vacuum}; PRAGMA journal_mode=WAL; ${workloadSchema}`,
      );
      const random = seededRandom(seed);
      const image = new AppliedImage();
      let capture = await open();
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
            capture = await open(position);
            if (capture.resumed !== position.frame > 0) throw new Error(`${context}: resume`);
            if (!capture.resumed) await takeImage(capture, image);
          }
          expect({ context, captured }).toEqual({ context, captured: committed });
          if (step % 5 === 0) expectSameBytes(image.bytes, await app.truth(), context);
        }
        expect(image.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
        expectSameBytes(image.bytes, await app.truth(), `seed ${seed}, end`);
      } finally {
        await capture.close();
      }
    },
  );
});
