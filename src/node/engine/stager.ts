// From what capture sees to staged files. One lock keeps batches, comparisons, images and checkpoints apart; who must
// have the history to himself for other reasons runs under it too.
import { Mutex } from "../../core/base/async.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { must } from "../../core/base/assert.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { walFrameOffset } from "../../core/sqlite/wal.ts";
import type { Capture } from "../capture/capture.ts";
import type { CapturedBatch, CheckpointOptions, PageSource } from "../capture/capture-types.ts";
import type { RestFacts } from "../capture/rest.ts";
import { afterGaps } from "./attach-database.ts";
import type { CheckpointPolicy } from "./checkpoint-policy.ts";
import { ImageTaker, pinHead } from "./image-taker.ts";
import type { HistoryHead } from "./history.ts";
import type { PrepareImage } from "./image-taker.ts";
import type { EngineParts } from "./parts.ts";
import type { StagedFile } from "./staging.ts";
import { scrub, stageDiffering } from "./scrub.ts";
import type { Waiting } from "./waiting.ts";

/** Most WAL bytes in one batch; a larger single transaction is still one batch. */
const batchBytes = 64 << 20;

/** How long to wait for a writer that is changing the wal-index. */
const tornIndexWaitMs = 2;

/** Pages that wait for the next batch while a checkpoint runs. Capture keeps up to 8 MiB in memory. */
const carriedBytes = 4 << 20;

/** What a look at the WAL brought. */
export interface Notice {
  /** Something is new: commits, or that capture cannot go on. */
  readonly isNews: boolean;
  /** More has been committed than one batch should hold. */
  readonly isMuch: boolean;
}

/** Reading the source as it is at the head. */
export interface HeadReading<Noted, Result> {
  /** Takes what it needs of the head and its table, right when the source is pinned: both go on with the next batch. */
  readonly note: (head: HistoryHead, table: PageChecksums, source: PageSource) => Noted;
  /** Reads, while captures and uploads go on. */
  readonly read: (source: PageSource, noted: Noted, waiting: Waiting) => Promise<Result>;
}

export class Stager {
  readonly #parts: EngineParts;
  readonly #checkpoints: CheckpointPolicy;
  readonly #onStaged: () => void;
  readonly #images = new ImageTaker();
  readonly #lock = new Mutex();
  readonly #imaging = new Mutex();
  #capture: Capture | undefined;
  #isCheckpointing = false;
  #fault: unknown;
  /**
   * True while the position of capture may be ahead of what is staged, because staging what it gave was interrupted or
   * because the source has not been compared yet. Then a batch would not continue the head: only a comparison does.
   */
  #mustCompare = false;
  #pending = 0;
  #transactions = 0;

  /** `onStaged` is called after each staged file. */
  constructor(parts: EngineParts, checkpoints: CheckpointPolicy, onStaged: () => void) {
    this.#parts = parts;
    this.#checkpoints = checkpoints;
    this.#onStaged = onStaged;
  }

  /** The attached database; throws `capture/gone` if there is none. */
  get capture(): Capture {
    if (this.#capture !== undefined) return this.#capture;
    throw new HeadwaterError("capture/gone", `${this.#parts.path} is not attached.`);
  }

  get isAttached(): boolean {
    return this.#capture !== undefined;
  }

  /** What keeps capture from going on, if anything. */
  get fault(): unknown {
    return this.#fault;
  }

  /** Transactions seen and not yet staged. */
  get pending(): number {
    return this.#pending;
  }

  /** Transactions staged by this process. */
  get transactions(): number {
    return this.#transactions;
  }

  /** Takes over a capture, which has to be compared before anything of it can be staged. */
  attach(capture: Capture): void {
    this.#capture = capture;
    this.#fault = undefined;
    this.#mustCompare = true;
    this.#pending = 0;
  }

  /** Lets go of the database and closes it, keeping its WAL. */
  async detach(): Promise<void> {
    await this.#images.cancel();
    const capture = this.#capture;
    this.#capture = undefined;
    await capture?.close();
  }

  /** Notes that the database has to be attached anew. */
  noteFault(fault: unknown): void {
    this.#fault ??= fault;
  }

  /** Notes what has been committed since the last look. Cheap; never throws. */
  look(): Notice {
    const capture = this.#capture;
    if (capture === undefined || this.#isCheckpointing || this.#fault !== undefined) {
      return { isNews: false, isMuch: false };
    }
    const before = this.#pending;
    try {
      const { transactions, more } = capture.capture({ maxBytes: batchBytes });
      this.#pending = transactions;
      return { isNews: transactions !== before, isMuch: more };
    } catch (error) {
      this.#fault = error;
      return { isNews: true, isMuch: false };
    }
  }

  /** Runs `work` while nothing is staged, compared or checkpointed. */
  exclusively<T>(work: () => Promise<T>, waiting?: Waiting): Promise<T> {
    return this.#lock.run(work, waiting);
  }

  /**
   * Resolves when nothing is staged, compared or checkpointed. Attaching anew may wait for a store: whoever is going to take
   * a slot that others need waits here first.
   */
  quiet(waiting: Waiting): Promise<void> {
    return this.#lock.run(() => undefined, waiting);
  }

  /** Runs, under the lock, what brings the head to the position of capture; left half done, it has to be done anew. */
  compare(work: (capture: Capture) => Promise<void>): Promise<void> {
    return this.#lock.run(() => this.#comparing(() => work(this.capture)));
  }

  /** Stages everything committed so far. */
  stageAll(waiting: Waiting): Promise<void> {
    return this.#lock.run(() => this.#stageAll(waiting));
  }

  /** Compares everything if capture cannot go on; throws what comparing cannot mend. */
  async mend(waiting: Waiting): Promise<void> {
    const fault = this.#fault;
    if (hasCode(fault, "capture/gap")) {
      await this.#lock.run(() => this.#resync(fault.message, waiting));
    } else if (fault instanceof Error) {
      throw fault;
    }
  }

  /** Pins an image of the newest TXID and has it put. Captures and uploads go on meanwhile; other images wait. */
  putImage(prepare: PrepareImage, { signal }: Waiting): Promise<void> {
    return this.#imaging.run(
      async () => {
        // The image is started under the lock: whoever gets it next can cancel the image.
        const image = await this.#lock.run(
          async () => {
            await this.#stageAll({ signal });
            const put = await this.#comparing(() => this.#prepareImage(prepare, { signal }));
            return this.#images.start(put, { signal });
          },
          { signal },
        );
        this.#onStaged();
        await image.done;
        this.#onStaged();
      },
      { signal },
    );
  }

  async #prepareImage(
    prepare: PrepareImage,
    waiting: Waiting,
  ): Promise<(waiting: Waiting) => Promise<void>> {
    const { capture } = this;
    const pinned = await pinHead(this.#parts, capture, waiting);
    try {
      return await prepare(capture, pinned, waiting);
    } catch (error) {
      pinned.source.release();
      throw error;
    }
  }

  /** Drops a damaged staged file. What it held is in the database: who needs it gets an image instead. */
  supersede(file: StagedFile, waiting: Waiting): Promise<void> {
    const { history, staging } = this.#parts;
    return this.compare(async (capture) => {
      const source = await scrub(this.#parts, capture, waiting);
      try {
        // The newest stays, so there has to be a newer one. It changes nothing.
        if (staging.newest === file) await history.stageChanges(source, Uint32Array.of(1), waiting);
      } finally {
        source.release();
      }
      await staging.removeThrough(file.txid);
    });
  }

  /**
   * Reads the source pinned at the head; only pinning keeps captures waiting, and nothing keeps writers waiting.
   * `undefined` if another image is pinned. Rejects with `capture/gone` if it had to be given up.
   */
  async readAtHead<Noted, Result>(
    { note, read }: HeadReading<Noted, Result>,
    { signal }: Waiting,
  ): Promise<Result | undefined> {
    const reading = await this.#lock.run(
      async () => {
        if (this.#images.isRunning) return undefined;
        const source = await this.#pinAtHead({ signal });
        const { head, table } = this.#parts.history;
        // Nothing may fail between pinning and reading: whoever reads releases.
        const noted = note(must(head, "the head"), must(table, "the page checksums"), source);
        return this.#images.read(source, (waiting) => read(source, noted, waiting), { signal });
      },
      { signal },
    );
    return reading?.done;
  }

  /**
   * Stages those of the pages that are not what was captured, as one TXID; returns their numbers. `always`: a TXID is
   * staged even if none differs.
   */
  async restage(
    pgnos: Uint32Array,
    { signal, always = false }: Waiting & { readonly always?: boolean },
  ): Promise<Uint32Array> {
    const differing = await this.#lock.run(
      async () => {
        await this.#images.cancel();
        const source = await this.#pinAtHead({ signal });
        try {
          return await stageDiffering(this.#parts, source, pgnos, { always, signal });
        } finally {
          source.release();
        }
      },
      { signal },
    );
    this.#onStaged();
    return differing;
  }

  checkpoint(waiting: Waiting): Promise<void> {
    return this.#lock.run(() => this.#checkpoint(this.#checkpoints.modeFor(this.capture), waiting));
  }

  /**
   * What the files are like while the database file alone is the head, and that head; `undefined` if it is not so now.
   * Empties the WAL first, so that who only reads afterwards changes nothing.
   */
  restFacts(
    waiting: Waiting,
  ): Promise<{ readonly facts: RestFacts; readonly head: HistoryHead } | undefined> {
    return this.#lock.run(async () => {
      if (this.#mustCompare || this.#fault !== undefined) return undefined;
      const { capture } = this;
      if (capture.walSizeBytes > 0) await this.#checkpoint("truncate", waiting);
      const { head } = this.#parts.history;
      if (this.#fault !== undefined || head === undefined) return undefined;
      const facts = await capture.restFacts(waiting);
      return facts && { facts, head };
    }, waiting);
  }

  async #checkpoint(mode: CheckpointOptions["mode"], { signal }: Waiting): Promise<void> {
    const { capture } = this;
    const { clock } = this.#parts;
    this.#isCheckpointing = true;
    try {
      const drain = (): Promise<void> => this.#stageIfMuch({ signal });
      const startedMs = clock.monotonicMs();
      const outcome = await capture.checkpoint({ mode, drain, signal });
      this.#checkpoints.noteOutcome(outcome, capture, clock.monotonicMs() - startedMs);
    } catch (error) {
      if (hasCode(error, "capture/gap")) await this.#resync(error.message, { signal });
      else if (hasCode(error, "engine/disk-full")) this.#checkpoints.noteFailure(error);
      else throw error;
    } finally {
      this.#isCheckpointing = false;
    }
  }

  async #comparing<T>(work: () => Promise<T>): Promise<T> {
    this.#mustCompare = true;
    await this.#images.cancel();
    const result = await work();
    this.#mustCompare = false;
    return result;
  }

  /** A checkpoint carries a little over in memory. A file for each would double what a fast writer makes us sync. */
  async #stageIfMuch(waiting: Waiting): Promise<void> {
    const { pageCount } = this.capture.capture({ maxBytes: batchBytes });
    if (pageCount * this.capture.pageSize > carriedBytes) await this.#stageAll(waiting);
  }

  async #stageAll(waiting: Waiting): Promise<void> {
    const { capture } = this;
    if (this.#mustCompare) return this.#resync("staging was interrupted", waiting);
    try {
      for (let more = true; more;) {
        ({ more } = capture.capture({ maxBytes: batchBytes }));
        const batch = capture.takeBatch();
        if (batch !== undefined) await this.#stageBatch(batch, waiting);
        // A writer is at the wal-index, or died at it: what was committed before will be seen in a moment.
        if (more && batch === undefined) await this.#parts.clock.sleep(tornIndexWaitMs, waiting);
      }
      this.#pending = capture.capture({ maxBytes: batchBytes }).transactions;
    } catch (error) {
      if (!hasCode(error, "capture/gap")) throw error;
      await this.#resync(error.message, waiting);
    }
  }

  /** Stages what is pending and pins the source at exactly that position; nothing is compared. */
  async #pinAtHead(waiting: Waiting): Promise<PageSource> {
    await this.#stageAll(waiting);
    const { image, batch } = await this.capture.pinWithBatch(waiting);
    try {
      if (batch !== undefined) await this.#stageBatch(batch, waiting);
      return image;
    } catch (error) {
      image.release();
      throw error;
    }
  }

  async #stageBatch(batch: CapturedBatch, waiting: Waiting): Promise<void> {
    const { clock, logger, history } = this.#parts;
    const startedMs = clock.monotonicMs();
    const walBytes = walBytesOf(batch);
    this.#mustCompare = true;
    const { transactions } = batch;
    try {
      const { txid, sizeBytes } = await history.stageBatch(batch, waiting);
      const elapsedMs = clock.monotonicMs() - startedMs;
      const file = { txid: formatTxid(txid), sizeBytes };
      logger.log("debug", "ltx.staged", { ...file, transactions, walBytes, elapsedMs });
    } finally {
      batch.release();
    }
    this.#mustCompare = false;
    this.#transactions += transactions;
    this.#checkpoints.noteCapture();
    this.#onStaged();
  }

  /** What capture gives next does not continue the head: compare everything and stage what differs. */
  async #resync(why: string, waiting: Waiting): Promise<void> {
    const { capture } = this;
    this.#parts.logger.log("warn", "capture.gap", { error: why });
    await this.#comparing(async () => {
      await capture.reposition(waiting);
      await afterGaps(this.#parts, capture, waiting, async () => {
        const source = await scrub(this.#parts, capture, waiting);
        source.release();
      });
    });
    this.#fault = undefined;
    this.#pending = 0;
    this.#onStaged();
  }
}

/** Of the frames of a batch. One that begins in an earlier WAL counts from the start of its own. */
function walBytesOf({ start, position, pageSize }: CapturedBatch): number {
  const isSameWal = start.salt1 === position.salt1 && start.salt2 === position.salt2;
  const from = isSameWal ? start.frame : 0;
  return walFrameOffset(position.frame + 1, pageSize) - walFrameOffset(from + 1, pageSize);
}
