// Capture of one live database: notes every committed transaction, hands them over in batches or as a whole image,
// and checkpoints without ever letting the WAL be reset past what was noted. Mechanism only; when to do what is the
// engine's decision. The protocol and the evidence for it: docs/capture.md.
import { Mutex, type Waiting } from "../../core/base/async.ts";
import { assert } from "../../core/base/assert.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { attach, type Attachment } from "./attach.ts";
import type {
  CaptureOptions,
  CapturedBatch,
  CapturePosition,
  CheckpointOptions,
  CheckpointOutcome,
  FileIdentity,
  OpenCaptureOptions,
  PageSource,
  PendingSummary,
} from "./capture-types.ts";
import { PendingBatch } from "./batch.ts";
import { runCheckpoint, type CheckpointParts } from "./checkpoint.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { endOfWal, takeExactPosition } from "./exact-position.ts";
import type { Guard } from "./guard.ts";
import { HandOver } from "./hand-over.ts";
import { PinnedImage } from "./image.ts";
import { closeAtExit, forgetAtExit } from "./open-captures.ts";
import { takeRestFacts, type RestFacts } from "./rest.ts";
import { gap, type Tracker } from "./tracker.ts";

/**
 * Attaches to the database at `path` and takes its guard. Switches a rollback-journal database to WAL mode (logged).
 * Throws `capture/gone`, `capture/empty` and `capture/locked` (try again), `capture/not-a-database`, `capture/unreadable`.
 */
export async function openCapture(options: OpenCaptureOptions): Promise<Capture> {
  const attachment = await attach(options);
  const capture = new Capture(attachment, options);
  closeAtExit(capture);
  return capture;
}

/** One attached database. Made by `openCapture`; whoever opened it closes it. */
export class Capture implements AsyncDisposable {
  readonly #files: DatabaseFiles;
  readonly #guard: Guard;
  readonly #tracker: Tracker;
  readonly #handOver: HandOver;
  readonly #clock: Clock;
  /** One hand-over, image or checkpoint at a time. */
  readonly #mutex = new Mutex();
  readonly #closing = new AbortController();
  #isHandingOver = false;
  #isClosed = false;
  #batch: PendingBatch | undefined;
  #image: PinnedImage | undefined;

  /** Where capture began. */
  readonly start: CapturePosition;
  /** True when that is where an earlier run had stopped (`resumeAt`, `atRest`). Otherwise `position` is where the database is now, and everything before it must be compared. */
  readonly resumed: boolean;
  /** The SQLite that wrote last (3051003 = 3.51.3), to warn about known bugs. */
  readonly sqliteVersion: number;

  constructor(attachment: Attachment, { clock }: OpenCaptureOptions) {
    const { files, guard, tracker } = attachment;
    this.#files = files;
    this.#guard = guard;
    this.#tracker = tracker;
    this.#clock = clock;
    this.#handOver = new HandOver(guard, tracker, {
      pageSize: files.pageSize,
      outstanding: () => ({ batch: this.#batch, hasImage: this.#image !== undefined }),
    });
    this.resumed = attachment.isResumed;
    this.start = tracker.pendingStart;
    this.sqliteVersion = attachment.sqliteVersion;
  }

  /** The real path, beside which WAL and local state lie. */
  get path(): string {
    return this.#files.path;
  }

  get pageSize(): number {
    return this.#files.pageSize;
  }

  /** Database size in pages after the last captured commit. */
  get commit(): number {
    return this.#tracker.pending.commit;
  }

  /** Captured so far, pending transactions included. */
  get position(): CapturePosition {
    return this.#tracker.position;
  }

  /** Committed frames in the WAL, as last seen. */
  get walFrames(): number {
    return this.#tracker.walFrames;
  }

  /** Frames not yet in the database file, as last seen: what a checkpoint would have to do. */
  get tailFrames(): number {
    return this.#tracker.tailFrames;
  }

  /** Size of the WAL file, now. */
  get walSizeBytes(): number {
    return this.#files.walSizeBytes;
  }

  /**
   * Notes what has been committed since the last call. One pread when nothing was. Throws `capture/gap` when the WAL
   * does not continue (then `reposition`), with nothing noted of the failed call.
   */
  capture({ maxBytes }: CaptureOptions = {}): PendingSummary {
    this.#assertOpen();
    if (this.#guard.isLost) throw gap(this.path, "its guard had been lost");
    let result = this.#tracker.advance(maxBytes);
    if (!this.#isHandingOver) {
      if (result === "unreadable") {
        this.#guard.mendIndex();
        result = this.#tracker.advance(maxBytes);
      }
      this.#handOver.improve({ isComplete: result === "complete" });
    }
    const { transactions, pageCount } = this.#tracker.pending;
    return { transactions, pageCount, more: result !== "complete" };
  }

  /** Freezes what is pending as a batch, or `undefined`. The batch must be released before the next is taken. */
  takeBatch(): CapturedBatch | undefined {
    this.#assertOpen();
    assert(this.#batch === undefined, "a batch is outstanding");
    if (this.#tracker.pending.transactions === 0) return undefined;
    const { position, pendingStart: start } = this.#tracker;
    const batch = new PendingBatch(this.#tracker.takePending(), {
      reader: this.#tracker.reader,
      start,
      position,
      pageSize: this.pageSize,
      onRelease: () => {
        this.#batch = undefined;
      },
    });
    this.#batch = batch;
    return batch;
  }

  /**
   * Every page at the captured position, which becomes what is committed now; drops what is pending, which the image
   * contains. Until it is released no checkpoint, ours or another's, passes it.
   */
  async pinImage({ signal }: Waiting = {}): Promise<PageSource> {
    return this.#exclusively({ signal }, () => {
      const image = this.#pin();
      this.#tracker.dropPending();
      return image;
    });
  }

  /**
   * Every page at the captured position, and the batch that leads there (`undefined`: nothing was pending): once that is
   * staged, image and newest TXID are one state, however fast others write. Both must be released.
   */
  async pinWithBatch({ signal }: Waiting = {}): Promise<{
    readonly image: PageSource;
    readonly batch: CapturedBatch | undefined;
  }> {
    return this.#exclusively({ signal }, () => ({ image: this.#pin(), batch: this.takeBatch() }));
  }

  #pin(): PinnedImage {
    assert(this.#image === undefined, "an image is pinned");
    if (this.#guard.isLost) throw gap(this.path, "its guard had been lost");
    // R's guard lets others backfill up to R's snapshot. Noting everything puts the position at or past it.
    if (this.#tracker.advance() !== "complete") throw this.#unreadable();
    const image = new PinnedImage(this.#files, this.#tracker, () => {
      this.#image = undefined;
    });
    this.#image = image;
    return image;
  }

  /**
   * Copies the WAL into the database file as far as readers allow, in a way that loses nothing (docs/capture.md).
   * `undefined` if a batch or an image is outstanding.
   */
  async checkpoint(options: CheckpointOptions): Promise<CheckpointOutcome | undefined> {
    return this.#exclusively(options, async (signal) => {
      if (this.#guard.isLost) throw gap(this.path, "its guard had been lost");
      const drain = (): Promise<void> => this.#guardFollowing(options.drain);
      return runCheckpoint(this.#parts, { ...options, drain, signal });
    });
  }

  /**
   * What the files are like while the database file alone is what has been captured, seen under a momentary write lock;
   * `undefined` if it is not so now. A later attachment takes it as `atRest`.
   */
  async restFacts({ signal }: Waiting = {}): Promise<RestFacts | undefined> {
    return this.#exclusively({ signal }, async (anySignal) =>
      this.#guard.isLost ? undefined : takeRestFacts(this.#parts, { signal: anySignal }),
    );
  }

  /** Makes what is committed now the exact position, under a momentary write lock. Drops what is pending. */
  async reposition({ signal }: Waiting = {}): Promise<void> {
    await this.#exclusively({ signal }, async (anySignal) => {
      assert(this.#batch === undefined && this.#image === undefined, "something is outstanding");
      if (this.#files.identity() !== "same") {
        throw new HeadwaterError(
          "capture/gone",
          `${this.path}, its -wal or its -shm was replaced. Headwater attaches anew.`,
          { data: { path: this.path } },
        );
      }
      if (this.#guard.isDoubled) this.#guard.undouble();
      const lock = { clock: this.#clock, signal: anySignal };
      await takeExactPosition(this.#guard, this.#files, lock, (index) => {
        this.#tracker.restart(endOfWal(this.#files, index));
        this.#tracker.guardTaken(this.#guard);
      });
    });
  }

  /** What became of the file at the path. Opens nothing. */
  checkIdentity(): FileIdentity {
    const identity = this.#files.identity();
    if (identity !== "same") return identity;
    const isShort = (): boolean => this.#files.databaseSizeBytes < this.#tracker.leastFileSizeBytes;
    if (!isShort()) return "same";
    // A checkpoint may have shortened it to the size of a transaction that is not noted yet.
    this.#tracker.advance();
    return isShort() ? "truncated" : "same";
  }

  /** Ends what is running, then closes everything and keeps the WAL. Safe to call twice. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#mutex.run(() => this.closeNow());
  }

  /** The last part of `close`, for the end of the process, when nothing can be waited for. */
  closeNow(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    forgetAtExit(this);
    this.#guard.close();
    this.#files.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #parts(): CheckpointParts {
    return {
      files: this.#files,
      guard: this.#guard,
      tracker: this.#tracker,
      clock: this.#clock,
      isReferenced: () => this.#batch !== undefined || this.#image !== undefined,
      handOver: this.#handOver,
    };
  }

  async #exclusively<T>(
    { signal }: Waiting,
    work: (signal: AbortSignal) => Promise<T> | T,
  ): Promise<T> {
    const either =
      signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    return this.#mutex.run(
      async () => {
        this.#assertOpen();
        this.#isHandingOver = true;
        try {
          return await work(either);
        } finally {
          this.#isHandingOver = false;
        }
      },
      { signal: either },
    );
  }

  /** Staging takes its time: meanwhile the guard follows writers as ever. */
  async #guardFollowing(work: () => Promise<void>): Promise<void> {
    this.#isHandingOver = false;
    try {
      await work();
    } finally {
      this.#isHandingOver = true;
    }
  }

  #unreadable(): HeadwaterError {
    return new HeadwaterError(
      "capture/locked",
      `The wal-index of ${this.path} is being recovered. Headwater tries again.`,
      { data: { path: this.path } },
    );
  }

  #assertOpen(): void {
    assert(!this.#isClosed, "the capture is closed");
  }
}
