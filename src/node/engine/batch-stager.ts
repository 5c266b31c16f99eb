// From what capture sees to staged files: notes what is committed, stages it batch by batch, and compares everything where a
// batch would not continue the head. Nothing here takes a lock: the stager sees to it that one thing runs at a time.
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { walFrameOffset } from "../../core/sqlite/wal.ts";
import type { Capture } from "../capture/capture.ts";
import type { CapturedBatch, PageSource } from "../capture/capture-types.ts";
import { afterGaps } from "./attach-database.ts";
import type { EngineParts } from "./parts.ts";
import { scrub } from "./scrub.ts";
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

/** What looking finds while nothing can be noted. */
export const nothingNew: Notice = Object.freeze({ isNews: false, isMuch: false });

export interface BatchHooks {
  /** Ends what keeps the source pinned. */
  readonly beforeComparing: () => Promise<void>;
  readonly onBatch: () => void;
  /** After each staged file, and after each comparison. */
  readonly onStaged: () => void;
}

export class BatchStager {
  readonly #parts: EngineParts;
  readonly #hooks: BatchHooks;
  #capture: Capture | undefined;
  #fault: unknown;
  /**
   * True while the position of capture may be ahead of what is staged, because staging what it gave was interrupted or
   * because the source has not been compared yet. Then a batch would not continue the head: only a comparison does.
   */
  #mustCompare = false;
  #pending = 0;
  #transactions = 0;

  constructor(parts: EngineParts, hooks: BatchHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
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

  /** Lets go of the capture, which is then the caller's to close. */
  release(): Capture | undefined {
    const capture = this.#capture;
    this.#capture = undefined;
    return capture;
  }

  /** Notes what has been committed since the last look. Cheap; never throws. */
  look(): Notice {
    const capture = this.#capture;
    if (capture === undefined || this.#fault !== undefined) return nothingNew;
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

  /** Notes that the database has to be attached anew. */
  noteFault(fault: unknown): void {
    this.#fault ??= fault;
  }

  /** True when the next batch continues the head. */
  get isContinuous(): boolean {
    return !this.#mustCompare && this.#fault === undefined;
  }

  /** Runs what brings the head to the position of capture; left half done, it has to be done anew. */
  async compare<T>(work: () => Promise<T>): Promise<T> {
    this.#mustCompare = true;
    await this.#hooks.beforeComparing();
    const result = await work();
    this.#mustCompare = false;
    return result;
  }

  /** A checkpoint carries a little over in memory. A file for each would double what a fast writer makes us sync. */
  async stageIfMuch(waiting: Waiting): Promise<void> {
    const { pageCount } = this.capture.capture({ maxBytes: batchBytes });
    if (pageCount * this.capture.pageSize > carriedBytes) await this.stageAll(waiting);
  }

  /** Stages everything committed so far. */
  async stageAll(waiting: Waiting): Promise<void> {
    const { capture } = this;
    if (this.#mustCompare) return this.resync("staging was interrupted", waiting);
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
      await this.resync(error.message, waiting);
    }
  }

  /** Stages what is pending and pins the source at exactly that position; nothing is compared. */
  async pinAtHead(waiting: Waiting): Promise<PageSource> {
    await this.stageAll(waiting);
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
    this.#hooks.onBatch();
    this.#hooks.onStaged();
  }

  /** What capture gives next does not continue the head: compare everything and stage what differs. */
  async resync(why: string, waiting: Waiting): Promise<void> {
    const { capture } = this;
    this.#parts.logger.log("warn", "capture.gap", { error: why });
    await this.compare(async () => {
      await capture.reposition(waiting);
      await afterGaps(this.#parts, capture, waiting, async () => {
        const source = await scrub(this.#parts, capture, waiting);
        source.release();
      });
    });
    this.#fault = undefined;
    this.#pending = 0;
    this.#hooks.onStaged();
  }
}

/** Of the frames of a batch. One that begins in an earlier WAL counts from the start of its own. */
function walBytesOf({ start, position, pageSize }: CapturedBatch): number {
  const isSameWal = start.salt1 === position.salt1 && start.salt2 === position.salt2;
  const from = isSameWal ? start.frame : 0;
  return walFrameOffset(position.frame + 1, pageSize) - walFrameOffset(from + 1, pageSize);
}
