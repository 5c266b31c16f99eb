// The engine of one database and one replica: attaches, settles, then captures, stages, uploads and checkpoints
// until it is stopped. One loop decides what is next, another uploads; the levels have a third (levels.ts), verification has
// a fourth (verification.ts).
import { Mutex } from "../../core/base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { startWakeUp } from "../capture/wake-up.ts";
import { joinHistory, openCaptureWhenThere, settleAgain } from "./attach-database.ts";
import { Bell } from "./bell.ts";
import { Cadence } from "./cadence.ts";
import { CheckpointPolicy } from "./checkpoint-policy.ts";
import { hasLitestream } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import { Levels } from "./levels.ts";
import { setStagedAside } from "./settle.ts";
import { Stager } from "./stager.ts";
import { StagingKeeper } from "./staging-keeper.ts";
import { SyncRequests } from "./sync-requests.ts";
import { Uploader } from "./uploader.ts";
import { Verification, noVerification } from "./verification.ts";
import type { EngineStatus } from "./engine-status.ts";
import type { Waiting } from "./waiting.ts";

/** How soon a database that vanished while it was being attached is looked at again. */
const attachRetryMs = 1_000;

const noLevels = Object.freeze({
  compactedThrough: 0n,
  compactions: 0,
  snapshots: 0,
  deletedFiles: 0,
  repairedFiles: 0,
  lostFiles: 0,
  validationFaults: 0,
  validatedAtMs: undefined,
  failingSinceMs: undefined,
  lastError: undefined,
});

/** How often the file at the path is compared with the one we are attached to. */
const inspectMs = 900;

export class DatabaseEngine {
  readonly #parts: EngineParts;
  readonly #uploader: Uploader;
  readonly #keeper: StagingKeeper;
  readonly #stager: Stager;
  /** `undefined`: nobody here makes levels. */
  readonly #levels: Levels | undefined;
  /** `undefined`: nothing is verified. */
  readonly #verification: Verification | undefined;
  /** Nothing is put while replica and staged files are brought to one history. Taken inside the stager's lock. */
  readonly #uploading = new Mutex();
  readonly #bell = new Bell();
  readonly #uploadBell = new Bell();
  readonly #syncs = new SyncRequests();
  readonly #checkpoints: CheckpointPolicy;
  readonly #cadence: Cadence;
  #state: EngineStatus["state"] = "starting";
  #hadLitestream = false;
  /** Full images that are being put. */
  #images = 0;
  #inspectedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#keeper = new StagingKeeper(parts);
    const { clock, logger, limits, budget } = parts;
    const { syncIntervalMs } = limits;
    this.#cadence = new Cadence({ clock, logger, syncIntervalMs, budget });
    this.#checkpoints = new CheckpointPolicy(clock, logger, limits.maxWalSizeBytes);
    this.#stager = new Stager(parts, this.#checkpoints, () => this.#uploadBell.ring());
    this.#levels =
      parts.schedule &&
      new Levels(parts, parts.schedule, {
        putSnapshot: (waiting) => this.snapshot(waiting),
        onCompacted: () => this.#uploadBell.ring(),
      });
    this.#verification =
      parts.verification &&
      new Verification(parts, parts.verification, {
        stager: this.#stager,
        ackedThrough: () => this.#uploader.ackedThrough,
        whileNotUploading: (work) => this.#uploading.run(work),
        putSnapshot: (waiting) => this.snapshot(waiting),
      });
    this.#uploader = new Uploader(parts, () => {
      this.#acknowledged();
      this.#levels?.noteUpload();
      this.#cadence.noteUpload();
    });
    parts.history.whenFull(() => this.#keeper.makeRoom(this.#uploader.ackedThrough));
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
    const levelling = this.#levels?.run({ signal: both });
    const verifying = this.#verification?.run({ signal: both });
    try {
      await Promise.all([uploading, capturing]);
    } catch (error) {
      ended.abort(error);
      this.#syncs.rejectAll(error);
      await Promise.allSettled([uploading, capturing]);
      throw error;
    } finally {
      ended.abort();
      await Promise.all([levelling, verifying]);
    }
  }

  /** Resolves when everything committed before the call is in the replica. */
  sync(waiting: Partial<Waiting> = {}): Promise<Txid> {
    const request = this.#syncs.add("replicated", waiting);
    this.#bell.ring();
    this.#uploader.hurry();
    return request;
  }

  /** Resolves when everything committed before the call is staged on local disk. */
  stage(waiting: Waiting): Promise<Txid> {
    const request = this.#syncs.add("staged", waiting);
    this.#bell.ring();
    return request;
  }

  /** Puts a full image of the newest TXID, unless the replica has it. Captures and uploads go on meanwhile. */
  async snapshot(waiting: Waiting): Promise<void> {
    this.#images++;
    try {
      await this.#stager.putImage(waiting);
    } finally {
      this.#images--;
    }
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
    if (!this.#stager.isAttached) return;
    try {
      await this.#flush({ signal });
    } catch (error) {
      if (this.#stager.capture.checkIdentity() === "same") throw error;
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
    await this.#stager.detach();
    await this.#keeper.trySave();
  }

  status(): EngineStatus {
    const { history, staging, path } = this.#parts;
    const [uploader, stager] = [this.#uploader, this.#stager];
    return {
      state: this.#state,
      path,
      txid: history.head?.txid,
      replicatedThrough: uploader.ackedThrough,
      transactions: stager.transactions,
      pendingTransactions: stager.pending,
      walSizeBytes: stager.isAttached ? stager.capture.walSizeBytes : 0,
      uploadedBytes: this.#parts.link.uploadedBytes,
      stagedBytes: staging.sizeBytes,
      isDiskFull: history.isDiskFull,
      isWalBlocked: this.#checkpoints.isBlocked,
      uploadedAtMs: uploader.uploadedAtMs,
      failingSinceMs: uploader.failingSinceMs,
      lastError: uploader.lastError,
      budget: this.#cadence.status,
      levels: this.#levels?.status ?? noLevels,
      verification: this.#verification?.status ?? noVerification,
    };
  }

  #head(): Txid | undefined {
    return this.#parts.history.head?.txid;
  }

  // --- attaching -------------------------------------------------------------------------------------

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
        await this.#stager.detach();
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
    this.#stager.attach(capture);
    this.#state = "settling";
    await this.#stager.compare(async () => {
      await joinHistory(this.#parts, capture, { signal, settling: this.#uploading });
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
    await this.#stager.compare(async (capture) => {
      await settleAgain(this.#parts, capture, { signal });
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
      this.#stager.noteFault(error);
      this.#bell.ring();
      await this.#parts.clock.sleep(attachRetryMs, { signal });
    }
  }

  #aimAnew(): void {
    const head = this.#head();
    if (head !== undefined) this.#syncs.aimAnew(head);
  }

  // --- capturing -------------------------------------------------------------------------------------

  async #runCapture({ signal }: Waiting): Promise<void> {
    while (!signal.aborted) {
      const { capture } = this.#stager;
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
        await this.#stager.detach();
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
      await this.#stager.mend({ signal });
      if (this.#isFlushDue()) await this.#flush({ signal });
      if (this.#checkpoints.isDue(this.#stager.capture)) {
        await this.#stager.checkpoint({ signal });
        this.#check();
      }
    }
  }

  /** Called at every sign of a commit and once a second: notes new frames, wakes the loop if there is work. */
  #check(): boolean {
    const { isNews, isMuch } = this.#stager.look();
    if (isMuch) this.#cadence.noteMuch();
    if (isNews || this.#isInspectionDue()) this.#bell.ring();
    return isNews;
  }

  #isFlushDue(): boolean {
    if (this.#syncs.isWaiting) return true;
    return this.#stager.pending > 0 && this.#cadence.msUntilFlush() <= 0;
  }

  #msUntilDue(): number | undefined {
    const flushMs =
      this.#stager.pending === 0 ? Number.POSITIVE_INFINITY : this.#cadence.msUntilFlush();
    const dueMs = Math.min(flushMs, this.#checkpoints.msUntilDue(this.#stager.capture));
    return Number.isFinite(dueMs) ? Math.max(0, dueMs) : dueMs < 0 ? 0 : undefined;
  }

  #isInspectionDue(): boolean {
    return this.#parts.clock.monotonicMs() - this.#inspectedAtMs >= inspectMs;
  }

  /** Looks whether the file is still the one we are attached to, and whether a Litestream has come. */
  async #inspect(): Promise<void> {
    this.#inspectedAtMs = this.#parts.clock.monotonicMs();
    await this.#stopIfLitestreamCame();
    const identity = this.#stager.capture.checkIdentity();
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
    this.#cadence.noteFlush();
    await this.#stager.stageAll({ signal });
    this.#syncs.aimAt(this.#head());
    this.#uploadBell.ring();
  }

  // --- uploading -------------------------------------------------------------------------------------

  async #runUploads({ signal }: Waiting): Promise<void> {
    this.#uploadBell.ring();
    while (!signal.aborted) {
      await this.#uploadBell.wait(this.#msUntilUpload(), signal);
      if (signal.aborted) return;
      if ((this.#msUntilUpload() ?? 0) === 0) await this.#upload({ signal });
      await this.#stager.exclusively(() => {
        const acked = this.#uploader.ackedThrough;
        return this.#keeper.tidy(acked, this.#levels?.compactedThrough ?? acked);
      });
    }
  }

  async #upload({ signal }: Waiting): Promise<void> {
    const outcome = await this.#uploading.run(() => this.#uploader.drain({ signal }));
    if (outcome === "damaged") {
      await this.#stager.exclusively(() => setStagedAside(this.#parts));
    }
    if (outcome === "settle" || outcome === "damaged") await this.#settleWhenAttached({ signal });
    if (outcome !== "done") this.#uploadBell.ring();
    this.#acknowledged();
  }

  /**
   * `undefined`: nothing is staged. What somebody waits for does not wait for the budget, nor does the level-0 file of a
   * full image: a replica that ends in an image alone says less to a later writer.
   */
  #msUntilUpload(): number | undefined {
    if (!this.#uploader.isWaiting) return undefined;
    const { staging, link } = this.#parts;
    const isImage = this.#images > 0 || staging.snapshot !== undefined || link.record?.level !== 0;
    const isUrgent = isImage || this.#syncs.isAimed;
    return isUrgent ? 0 : this.#cadence.msUntilUpload();
  }

  #acknowledged(): void {
    this.#syncs.resolveThrough(this.#uploader.ackedThrough, this.#head());
  }
}
