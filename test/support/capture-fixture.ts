// A directory with a database, and what tests of capture do with it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/core/base/clock.ts";
import type { Logger } from "../../src/core/base/log.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import { openCapture, type Capture } from "../../src/node/capture/capture.ts";
import type { CapturePosition } from "../../src/node/capture/capture-types.ts";
import { AppliedImage } from "./applied-image.ts";
import { SqliteProcess } from "./sqlite-process.ts";

/** A temporary directory that goes away when disposed, with a path for a database in it. */
export class CaptureFixture implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "headwater-capture-"));
  readonly path = join(this.directory, "app.db");
  /** Names of the events that were logged. */
  readonly events: string[] = [];
  readonly #logger: Logger = { log: (_, event) => this.events.push(event) };

  async open(
    options: { readonly resumeAt?: CapturePosition; readonly clock?: Clock } = {},
  ): Promise<Capture> {
    return this.openAt(this.path, options);
  }

  /** Attaches to another file than `path`. */
  async openAt(
    path: string,
    options: { readonly resumeAt?: CapturePosition; readonly clock?: Clock } = {},
  ): Promise<Capture> {
    return openCapture({
      path,
      clock: options.clock ?? systemClock,
      logger: this.#logger,
      resumeAt: options.resumeAt,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Applies everything that is committed, in batches of about `maxBytes`; returns the number of transactions. */
export function drain(capture: Capture, image: AppliedImage, maxBytes?: number): number {
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

/** Makes `image` the database at what is committed now. */
export async function takeImage(capture: Capture, image: AppliedImage): Promise<void> {
  const source = await capture.pinImage();
  image.replace(source);
  source.release();
}

/** Throws, saying where, if the bytes differ. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, context = ""): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(`${context}: ${actual.length} and ${expected.length} bytes, differ at ${at}`);
}

/** A clock on which every look takes a second, so that waiting in budgets ends at once. */
export const hastyClock: Clock = (() => {
  let nowMs = 0;
  return {
    nowMs: () => (nowMs += 1000),
    monotonicMs: () => (nowMs += 1000),
    sleep: async () => undefined,
  };
})();

/** What `attached` gives. */
export interface AttachedSetup extends AsyncDisposable {
  readonly app: SqliteProcess;
  readonly capture: Capture;
  readonly image: AppliedImage;
  /** Stages everything; the result must be what SQLite sees. */
  expectTruth(): Promise<void>;
}

/** Schema of most tests. */
export const table = "CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB)";
/** SQL that commits one row of random bytes. */
export const insertBlob = (sizeBytes: number): string =>
  `INSERT INTO item (body) VALUES (randomblob(${sizeBytes}))`;
/** Stages nothing before a checkpoint: whatever is pending has to survive it. */
export const noDrain = async (): Promise<void> => undefined;

/** A database in WAL mode, an application on it, an attached capture and its first image. */
export async function attached(
  fixture: CaptureFixture,
  schema: string = table,
): Promise<AttachedSetup> {
  const app = new SqliteProcess(fixture.path);
  await app.exec(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; ${schema}`);
  const capture = await fixture.open();
  const image = new AppliedImage();
  await takeImage(capture, image);
  return {
    app,
    capture,
    image,
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
