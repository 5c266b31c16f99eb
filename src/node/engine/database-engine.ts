// The engine of one database and one replica: attaches, settles, then captures, stages, uploads and checkpoints
// until it is stopped. One loop decides what is next; one lock keeps staging and checkpoints apart.
import { Mutex } from "../../core/base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { Capture } from "../capture/capture.ts";
import { startWakeUp } from "../capture/wake-up.ts";
import { afterGaps, joinHistory, openCaptureWhenThere, settleAgain } from "./attach-database.ts";
import { Bell } from "./bell.ts";
import { CheckpointPolicy } from "./checkpoint-policy.ts";
import { hasLitestream } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import { scrub } from "./scrub.ts";
import { putSnapshotOfHeld, setStagedAside } from "./settle.ts";
import { StagingKeeper } from "./staging-keeper.ts";
import { SyncRequests } from "./sync-requests.ts";
import { Uploader } from "./uploader.ts";
import type { EngineStatus } from "./engine-status.ts";

interface Waiting {
  readonly signal: AbortSignal;
}

/** Most WAL bytes in one batch; a larger single transaction is still one batch. */
const batchBytes = 64 << 20;

/** How soon a database that vanished while it was being attached is looked at again. */
const attachRetryMs = 1_000;

/** How long to wait for a writer that is changing the wal-index. */
const tornIndexWaitMs = 2;

/** Pages that wait for the next batch while a checkpoint runs. Capture keeps up to 8 MiB in memory. */
const carriedBytes = 4 << 20;

/** How often the file at the path is compared with the one we are attached to. */
const inspectMs = 900;

export class DatabaseEngine {
  readonly #parts: EngineParts;
  readonly #uploader: Uploader;
  readonly #keeper: StagingKeeper;
  readonly #lock = new Mutex();
  /** Nothing is put while replica and staged files are brought to one history. Taken inside `#lock`, never around it. */
  readonly #uploading = new Mutex();
  readonly #bell = new Bell();
  readonly #uploadBell = new Bell();
  readonly #syncs = new SyncRequests();
  readonly #checkpoints: CheckpointPolicy;
  #capture: Capture | undefined;
  #state: EngineStatus["state"] = "starting";
  #isCheckpointing = false;
  #hadLitestream = false;
  #captureFault: unknown;
  /**
   * True while the position of capture may be ahead of what is staged, because staging what it gave was interrupted or
   * because the source has not been compared yet. Then a batch would not continue the head: only a comparison does.
   */
  #mustCompare = false;
  #inspectedAtMs = Number.NEGATIVE_INFINITY;
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #pending = 0;
  #transactions = 0;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#keeper = new StagingKeeper(parts);
    this.#uploader = new Uploader(parts, () => this.#acknowledged());
    parts.history.whenFull(() => this.#keeper.makeRoom(this.#uploader.ackedThrough));
    this.#checkpoints = new CheckpointPolicy(
      parts.clock,
      parts.logger,
      parts.limits.maxWalSizeBytes,
    );
  }

  /**
   * Attaches and settles, waiting for a database that is missing or locked, and for a store that does not answer.
   * Throws what waiting cannot mend.
   */
  async open({ signal }: Waiting): Promise<void> {
    await this.#keeper.load();
    await this.#attach({ signal });
  }

  /** Replicates until aborted. Throws what ends replication: another writer, another page size, our own bug. */
  async run({ signal }: Waiting): Promise<void> {
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    const uploading = this.#runUploads({ signal: both });
    const capturing = this.#runCapture({ signal: both });
    try {
      await Promise.all([uploading, capturing]);
    } catch (error) {
      ended.abort(error);
      this.#syncs.rejectAll(error);
      await Promise.allSettled([uploading, capturing]);
      throw error;
    }
  }

  /** Resolves when everything committed before the call is in the replica. */
  sync(): Promise<Txid> {
    const request = this.#syncs.add();
    this.#bell.ring();
    this.#uploader.hurry();
    return request;
  }

  /** Puts a full image of the newest TXID, unless the replica has it. */
  async snapshot({ signal }: Waiting): Promise<void> {
    await this.#flush({ signal });
    await this.#lock.run(() =>
      this.#comparing(() => putSnapshotOfHeld(this.#parts, this.#attached(), { signal })),
    );
    this.#uploadBell.ring();
  }

  /** Captures and uploads what is left; throws when aborted. Nothing else may run any more. */
  async finish({ signal }: Waiting): Promise<void> {
    this.#state = "stopping";
    await this.#lastFlush({ signal });
    for (;;) {
      const outcome = await this.#uploader.drain({ signal });
      if (outcome === "done") break;
      if (outcome === "damaged") await setStagedAside(this.#parts);
      if (outcome === "settle" || outcome === "damaged") await this.#settleAgain({ signal });
    }
    this.#acknowledged();
  }

  async #lastFlush({ signal }: Waiting): Promise<void> {
    if (this.#capture === undefined) return;
    try {
      await this.#flush({ signal });
    } catch (error) {
      if (this.#capture.checkIdentity() === "same") throw error;
      this.#parts.logger.log("warn", "database.gone", {
        path: this.#parts.path,
        error: messageOf(error),
      });
    }
  }

  /** Detaches, keeping the WAL, and saves what makes the next start quick. */
  async close(): Promise<void> {
    this.#state = "stopped";
    this.#syncs.rejectAll(
      new HeadwaterError("engine/stopped", "The replication was stopped. Start it again to go on."),
    );
    await this.#capture?.close();
    this.#capture = undefined;
    await this.#keeper.trySave();
  }

  status(): EngineStatus {
    const { history, staging, path } = this.#parts;
    const uploader = this.#uploader;
    return {
      state: this.#state,
      path,
      txid: history.head?.txid,
      replicatedThrough: uploader.ackedThrough,
      transactions: this.#transactions,
      pendingTransactions: this.#pending,
      walSizeBytes: this.#capture?.walSizeBytes ?? 0,
      uploadedBytes: this.#parts.link.uploadedBytes,
      stagedBytes: staging.sizeBytes,
      isDiskFull: history.isDiskFull,
      isWalBlocked: this.#checkpoints.isBlocked,
      uploadedAtMs: uploader.uploadedAtMs,
      failingSinceMs: uploader.failingSinceMs,
      lastError: uploader.lastError,
    };
  }

  #head(): Txid | undefined {
    return this.#parts.history.head?.txid;
  }

  // --- attaching -------------------------------------------------------------------------------------

  async #detach(): Promise<void> {
    const capture = this.#capture;
    this.#capture = undefined;
    await capture?.close();
  }

  /** Attaches and joins, again and again while the database comes and goes. */
  async #attach({ signal }: Waiting): Promise<void> {
    for (;;) {
      try {
        return await this.#attachOnce({ signal });
      } catch (error) {
        const isPassing = hasCode(error, "capture/gone", "capture/locked", "capture/empty");
        if (signal.aborted || this.#parts.once || !isPassing) throw error;
        const { logger, path, clock } = this.#parts;
        logger.log("warn", "database.waiting", { path, why: error.message });
        this.#state = "waiting";
        await this.#detach();
        await clock.sleep(attachRetryMs, { signal });
      }
    }
  }

  async #attachOnce({ signal }: Waiting): Promise<void> {
    const { path, logger, history, link } = this.#parts;
    const onWaiting = (): void => {
      this.#state = "waiting";
    };
    const capture = await openCaptureWhenThere(this.#parts, { signal, onWaiting });
    const hadLitestream = await hasLitestream(this.#parts);
    this.#hadLitestream = false;
    this.#capture = capture;
    this.#captureFault = undefined;
    this.#mustCompare = true;
    this.#state = "settling";
    await this.#lock.run(async () => {
      const settling = this.#uploading;
      await this.#comparing(() => joinHistory(this.#parts, capture, { signal, settling }));
      this.#aimAnew();
      await this.#keeper.trySave();
    });
    if (!hadLitestream) await this.#stopIfLitestreamCame();
    this.#hadLitestream = await hasLitestream(this.#parts);
    this.#state = "replicating";
    // What was compared on the way may have been staged.
    this.#uploadBell.ring();
    const txid = history.head && formatTxid(history.head.txid);
    logger.log("info", "database.replicating", { path, replica: link.store.url, txid });
  }

  async #settleAgain({ signal }: Waiting): Promise<void> {
    await this.#lock.run(async () => {
      await this.#comparing(() => settleAgain(this.#parts, this.#attached(), { signal }));
      this.#aimAnew();
      await this.#keeper.trySave();
    });
  }

  /** A database that has just gone is settled when it is attached again. */
  async #settleWhenAttached({ signal }: Waiting): Promise<void> {
    try {
      await this.#settleAgain({ signal });
    } catch (error) {
      if (!hasCode(error, "capture/gone", "capture/locked")) throw error;
      this.#captureFault ??= error;
      this.#bell.ring();
      await this.#parts.clock.sleep(attachRetryMs, { signal });
    }
  }

  /** Runs what brings the head to the position of capture; left in the middle, it has to be done anew. */
  async #comparing(work: () => Promise<void>): Promise<void> {
    this.#mustCompare = true;
    await work();
    this.#mustCompare = false;
  }

  #aimAnew(): void {
    const head = this.#head();
    if (head !== undefined) this.#syncs.aimAnew(head);
  }

  #attached(): Capture {
    if (this.#capture === undefined) {
      throw new HeadwaterError("capture/gone", `${this.#parts.path} is not attached.`);
    }
    return this.#capture;
  }

  // --- capturing -------------------------------------------------------------------------------------

  async #runCapture({ signal }: Waiting): Promise<void> {
    while (!signal.aborted) {
      const capture = this.#attached();
      try {
        const { path, clock } = this.#parts;
        await using watch = new AsyncDisposableStack();
        watch.use(startWakeUp({ path, clock, check: () => this.#check() }));
        await this.#loop({ signal });
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        // SQLite fails in many ways on a file that was replaced underneath.
        const isGone =
          hasCode(error, "capture/gone", "capture/locked") || capture.checkIdentity() !== "same";
        if (!isGone) throw error;
        this.#parts.logger.log("warn", "database.gone", {
          path: this.#parts.path,
          error: messageOf(error),
        });
        await this.#detach();
        await this.#attach({ signal });
      }
    }
  }

  async #loop({ signal }: Waiting): Promise<void> {
    this.#bell.ring();
    while (!signal.aborted) {
      await this.#bell.wait(this.#msUntilDue(), signal);
      if (signal.aborted) return;
      if (this.#isInspectionDue()) await this.#inspect();
      if (this.#captureFault !== undefined) await this.#resync({ signal });
      if (this.#isFlushDue()) await this.#flush({ signal });
      if (this.#checkpoints.isDue(this.#attached())) await this.#checkpoint({ signal });
    }
  }

  /** Called at every sign of a commit and once a second: notes new frames, wakes the loop if there is work. */
  #check(): boolean {
    const capture = this.#capture;
    if (capture === undefined || this.#isCheckpointing || this.#captureFault !== undefined)
      return false;
    const before = this.#pending;
    try {
      const { transactions, more } = capture.capture({ maxBytes: batchBytes });
      this.#pending = transactions;
      if (more) this.#flushedAtMs = Number.NEGATIVE_INFINITY;
    } catch (error) {
      this.#captureFault = error;
    }
    const isNews = this.#pending !== before || this.#captureFault !== undefined;
    if (isNews || this.#isInspectionDue()) this.#bell.ring();
    return isNews;
  }

  #isFlushDue(): boolean {
    if (this.#syncs.isWaiting) return true;
    if (this.#pending === 0) return false;
    const elapsedMs = this.#parts.clock.monotonicMs() - this.#flushedAtMs;
    return elapsedMs >= this.#parts.limits.syncIntervalMs;
  }

  #msUntilDue(): number | undefined {
    const now = this.#parts.clock.monotonicMs();
    const flushMs =
      this.#pending === 0
        ? Number.POSITIVE_INFINITY
        : this.#flushedAtMs + this.#parts.limits.syncIntervalMs - now;
    const dueMs = Math.min(flushMs, this.#checkpoints.msUntilDue(this.#attached()));
    return Number.isFinite(dueMs) ? Math.max(0, dueMs) : dueMs < 0 ? 0 : undefined;
  }

  #isInspectionDue(): boolean {
    return this.#parts.clock.monotonicMs() - this.#inspectedAtMs >= inspectMs;
  }

  /** Looks whether the file is still the one we are attached to, and whether a Litestream has come. */
  async #inspect(): Promise<void> {
    this.#inspectedAtMs = this.#parts.clock.monotonicMs();
    await this.#stopIfLitestreamCame();
    const identity = this.#attached().checkIdentity();
    if (identity === "same") return;
    throw new HeadwaterError(
      "capture/gone",
      `${this.#parts.path} was ${identity === "missing" ? "deleted" : identity} underneath. Its history stays; ` +
        `Headwater attaches again as soon as there is a database.`,
      { data: { path: this.#parts.path, identity } },
    );
  }

  async #stopIfLitestreamCame(): Promise<void> {
    const { path } = this.#parts;
    if (this.#hadLitestream || !(await hasLitestream(this.#parts))) return;
    throw new HeadwaterError(
      "engine/litestream",
      `A Litestream has started on ${path}. Both would write the same history: stop Litestream, then start again.`,
      { data: { path } },
    );
  }

  /** Stages everything committed so far and wakes the uploader. */
  async #flush({ signal }: Waiting): Promise<void> {
    this.#syncs.take();
    this.#flushedAtMs = this.#parts.clock.monotonicMs();
    await this.#lock.run(() => this.#stageAll({ signal }));
    this.#syncs.aimAt(this.#head());
    this.#uploadBell.ring();
  }

  /** A checkpoint carries a little over in memory. A file for each would double what a fast writer makes us sync. */
  async #stageIfMuch({ signal }: Waiting): Promise<void> {
    const capture = this.#attached();
    const { pageCount } = capture.capture({ maxBytes: batchBytes });
    if (pageCount * capture.pageSize > carriedBytes) await this.#stageAll({ signal });
  }

  async #stageAll({ signal }: Waiting): Promise<void> {
    const capture = this.#attached();
    if (this.#mustCompare) return this.#resyncLocked("staging was interrupted", { signal });
    try {
      for (let more = true; more;) {
        ({ more } = capture.capture({ maxBytes: batchBytes }));
        const batch = capture.takeBatch();
        if (batch === undefined) {
          // A writer is at the wal-index, or died at it: what was committed before will be seen in a moment.
          if (more) await this.#parts.clock.sleep(tornIndexWaitMs, { signal });
          continue;
        }
        this.#mustCompare = true;
        try {
          await this.#parts.history.stageBatch(batch, { signal });
        } finally {
          batch.release();
        }
        this.#mustCompare = false;
        this.#transactions += batch.transactions;
        this.#checkpoints.noteCapture();
        this.#uploadBell.ring();
      }
      this.#pending = capture.capture({ maxBytes: batchBytes }).transactions;
    } catch (error) {
      if (!hasCode(error, "capture/gap")) throw error;
      await this.#resyncLocked(error.message, { signal });
    }
  }

  async #resync({ signal }: Waiting): Promise<void> {
    const fault = this.#captureFault;
    if (!hasCode(fault, "capture/gap")) throw fault;
    await this.#lock.run(() => this.#resyncLocked(fault.message, { signal }));
    this.#uploadBell.ring();
  }

  /** What capture gives next does not continue the head: compare everything and stage what differs. */
  async #resyncLocked(why: string, waiting: Waiting): Promise<void> {
    const { logger } = this.#parts;
    logger.log("warn", "capture.gap", { error: why });
    const capture = this.#attached();
    await this.#comparing(async () => {
      await capture.reposition(waiting);
      await afterGaps(this.#parts, capture, waiting, async () => {
        const source = await scrub(this.#parts, capture, waiting);
        source.release();
      });
    });
    this.#captureFault = undefined;
    this.#pending = 0;
  }

  async #checkpoint({ signal }: Waiting): Promise<void> {
    const capture = this.#attached();
    await this.#lock.run(async () => {
      this.#isCheckpointing = true;
      try {
        const mode = this.#checkpoints.modeFor(capture);
        const outcome = await capture.checkpoint({
          mode,
          drain: () => this.#stageIfMuch({ signal }),
          signal,
        });
        this.#checkpoints.noteOutcome(outcome, capture);
      } catch (error) {
        if (hasCode(error, "capture/gap")) await this.#resyncLocked(error.message, { signal });
        else if (hasCode(error, "engine/disk-full")) this.#checkpoints.noteFailure(error);
        else throw error;
      } finally {
        this.#isCheckpointing = false;
      }
    });
    this.#check();
  }

  // --- uploading -------------------------------------------------------------------------------------

  async #runUploads({ signal }: Waiting): Promise<void> {
    this.#uploadBell.ring();
    while (!signal.aborted) {
      await this.#uploadBell.wait(undefined, signal);
      if (signal.aborted) return;
      const outcome = await this.#uploading.run(() => this.#uploader.drain({ signal }));
      if (outcome === "damaged") await this.#lock.run(() => setStagedAside(this.#parts));
      if (outcome === "settle" || outcome === "damaged") await this.#settleWhenAttached({ signal });
      if (outcome !== "done") this.#uploadBell.ring();
      this.#acknowledged();
      await this.#lock.run(() => this.#keeper.tidy(this.#uploader.ackedThrough));
    }
  }

  #acknowledged(): void {
    this.#syncs.resolveThrough(this.#uploader.ackedThrough, this.#head());
  }
}
