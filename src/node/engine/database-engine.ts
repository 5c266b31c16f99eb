// The engine of one database: attaches, settles, then captures, stages and checkpoints until it is stopped. One loop
// decides what is next; carrying it to a replica is the work of its worker (replica-worker.ts).
import { runTogether } from "../../core/base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { startWakeUp } from "../capture/wake-up.ts";
import { goneError, openCaptureWhenThere, settleAgain } from "./attach-database.ts";
import { Bell } from "./bell.ts";
import { commonBudget } from "./budget-keeper.ts";
import { Cadence } from "./cadence.ts";
import { CheckpointPolicy } from "./checkpoint-policy.ts";
import { LitestreamWatch } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import type { ReplicaLink } from "./replica-link.ts";
import { ReplicaSet } from "./replica-set.ts";
import type { Disunion, ReplicaWorker } from "./replica-worker.ts";
import { RestTaker } from "./rest-taker.ts";
import type { RestRequest } from "./rest-taker.ts";
import type { RestRecord } from "./rest-record.ts";
import { Stager } from "./stager.ts";
import { StagingKeeper, setStagedAside } from "./staging-keeper.ts";
import { SyncRequests } from "./sync-requests.ts";
import type { EngineStatus } from "./engine-status.ts";
import type { Waiting } from "./waiting.ts";

/** How soon a database that vanished while it was being attached is looked at again. */
const attachRetryMs = 1_000;

/** How often the file at the path is compared with the one we are attached to. */
const inspectMs = 900;

export class DatabaseEngine {
  readonly #parts: EngineParts;
  readonly #replicas: ReplicaSet;
  readonly #keeper: StagingKeeper;
  readonly #stager: Stager;
  readonly #bell = new Bell();
  readonly #syncs = new SyncRequests();
  readonly #checkpoints: CheckpointPolicy;
  readonly #cadence: Cadence;
  readonly #litestream: LitestreamWatch;
  readonly #rest: RestTaker;
  #state: EngineStatus["state"] = "starting";
  #inspectedAtMs = Number.NEGATIVE_INFINITY;
  #unreplicatedSinceMs: number | undefined;

  constructor(parts: EngineParts, links: readonly ReplicaLink[]) {
    this.#parts = parts;
    this.#keeper = new StagingKeeper(parts);
    this.#litestream = new LitestreamWatch(parts);
    const { clock, logger, limits } = parts;
    const { syncIntervalMs } = limits;
    const budget = commonBudget(links.map((link) => link.budget));
    this.#cadence = new Cadence({ clock, logger, syncIntervalMs, budget });
    this.#checkpoints = new CheckpointPolicy(clock, logger, limits.maxWalSizeBytes);
    this.#stager = new Stager(parts, this.#checkpoints, () => this.#replicas.wake());
    this.#replicas = new ReplicaSet(parts, links, this.#stager, {
      rejoin: (worker, why, waiting) => this.#rejoin(worker, why, waiting),
      onAcked: () => this.#acknowledged(),
      onUploaded: () => this.#cadence.noteUpload(),
      isUrgent: () => this.#syncs.isAimed,
      onStopped: (error) => this.#syncs.rejectReplicated(error),
      tidy: () => this.#tidy(),
    });
    const [stager, replicas, keeper] = [this.#stager, this.#replicas, this.#keeper];
    this.#rest = new RestTaker(parts, { stager, replicas, keeper, litestream: this.#litestream });
    parts.history.whenFull(() => this.#keeper.makeRoom(this.#replicas.ackedSomewhere));
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
  async run(waiting: Waiting): Promise<void> {
    try {
      await runTogether(
        [(ending) => this.#replicas.run(ending), (ending) => this.#runCapture(ending)],
        waiting,
      );
    } catch (error) {
      this.#syncs.rejectAll(error);
      throw error;
    }
  }

  /** Resolves when everything committed before the call is in all replicas. Rejects while one of them is stopped. */
  async sync(waiting: Partial<Waiting> = {}): Promise<Txid> {
    if (this.#state === "stopped") throw stopped();
    const request = this.#syncs.add("replicated", waiting);
    this.#bell.ring();
    this.#replicas.hurry();
    const { stoppedBy } = this.#replicas;
    if (stoppedBy !== undefined) this.#syncs.rejectReplicated(stoppedBy.error);
    return request;
  }

  /** Resolves when everything committed before the call is staged on local disk. */
  async stage(waiting: Waiting): Promise<Txid> {
    if (this.#state === "stopped") throw stopped();
    const request = this.#syncs.add("staged", waiting);
    this.#bell.ring();
    return request;
  }

  /** Puts a full image of the newest TXID into each replica. Captures and uploads go on meanwhile. */
  snapshot(waiting: Waiting): Promise<void> {
    return this.#replicas.snapshot(waiting);
  }

  /** Writes down what the files are like, if there is nothing left to do; see `RestTaker`. */
  async rest(request: RestRequest): Promise<RestRecord | undefined> {
    return this.#rest.take(request, () => this.#state === "replicating" && !this.#syncs.isWaiting);
  }

  /** Captures and uploads what is left; throws when aborted. Nothing else may run any more. */
  async finish({ signal }: Waiting): Promise<void> {
    this.#state = "stopping";
    await this.#lastFlush({ signal });
    await this.#replicas.finish({ signal });
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
    this.#syncs.rejectAll(stopped());
    await this.#stager.detach();
    await this.#keeper.trySave();
  }

  status(): EngineStatus {
    const { history, staging, path } = this.#parts;
    const stager = this.#stager;
    return {
      state: this.#state,
      path,
      txid: history.head?.txid,
      transactions: stager.transactions,
      pendingTransactions: stager.pending,
      databaseSizeBytes: (history.table?.commit ?? 0) * (history.table?.pageSize ?? 0),
      walSizeBytes: stager.isAttached ? stager.capture.walSizeBytes : 0,
      stagedBytes: staging.sizeBytes,
      isDiskFull: history.isDiskFull,
      isWalBlocked: this.#checkpoints.isBlocked,
      budget: this.#cadence.status,
      unreplicatedSinceMs: this.#unreplicatedSinceMs,
      ...this.#replicas.status,
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
    const { path, logger, history } = this.#parts;
    const onWaiting = (): void => {
      this.#state = "waiting";
    };
    const capture = await openCaptureWhenThere(this.#parts, { signal, onWaiting });
    if (this.#parts.endedRest?.wasWatched === true) await this.#litestream.check();
    await this.#litestream.note();
    this.#stager.attach(capture);
    this.#state = "settling";
    if (!capture.resumed) this.#rest.noteNews();
    await this.#stager.compare(async () => {
      await this.#replicas.join(capture, { signal });
      this.#aimAnew();
      await this.#keeper.trySave();
    });
    await this.#litestream.check();
    this.#state = "replicating";
    // What was compared on the way may have been staged.
    this.#replicas.wake();
    const txid = history.head && formatTxid(history.head.txid);
    const replica = this.#replicas.urls;
    const level = this.#parts.endedRest === undefined ? "info" : "debug";
    logger.log(level, "database.replicating", { path, replica, txid });
  }

  async #settleAgain({ parts }: ReplicaWorker, { signal }: Waiting): Promise<void> {
    await this.#stager.compare(async (capture) => {
      await settleAgain(parts, capture, { signal });
      this.#aimAnew();
      await this.#keeper.trySave();
    });
  }

  async #rejoin(worker: ReplicaWorker, why: Disunion, { signal }: Waiting): Promise<void> {
    if (why === "damaged") await this.#stager.exclusively(() => setStagedAside(this.#parts));
    try {
      await this.#settleAgain(worker, { signal });
    } catch (error) {
      const isGone = hasCode(error, "capture/gone", "capture/locked");
      if (!isGone || this.#state === "stopping") throw error;
      // It is settled when it is attached again.
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
    // What was committed before we attached makes no event.
    this.#check();
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
    if (isNews) this.#rest.noteNews();
    if (isNews || this.#isInspectionDue()) this.#bell.ring();
    return isNews;
  }

  #isFlushDue(): boolean {
    if (this.#syncs.isWaiting) return true;
    return this.#stager.pending > 0 && this.#cadence.msUntilFlush() <= 0;
  }

  #msUntilDue(): number {
    const flushMs =
      this.#stager.pending === 0 ? Number.POSITIVE_INFINITY : this.#cadence.msUntilFlush();
    return Math.min(flushMs, this.#checkpoints.msUntilDue(this.#stager.capture));
  }

  #isInspectionDue(): boolean {
    return this.#parts.clock.monotonicMs() - this.#inspectedAtMs >= inspectMs;
  }

  /** Looks whether the file is still the one we are attached to, and whether a Litestream has come. */
  async #inspect(): Promise<void> {
    this.#inspectedAtMs = this.#parts.clock.monotonicMs();
    await this.#litestream.check();
    const identity = this.#stager.capture.checkIdentity();
    if (identity === "same") return;
    throw goneError(this.#parts.path, identity);
  }

  /** Stages everything committed so far and wakes the uploader. */
  async #flush({ signal }: Waiting): Promise<void> {
    this.#syncs.take();
    this.#cadence.noteFlush();
    await this.#stager.stageAll({ signal });
    this.#syncs.aimAt(this.#head());
    this.#noteLag();
    this.#replicas.wake();
  }

  // --- replicas --------------------------------------------------------------------------------------

  #acknowledged(): void {
    this.#syncs.resolveThrough(this.#replicas.ackedThrough, this.#head());
    this.#noteLag();
  }

  /** Something captured that is not in every replica is lag from the moment it was noticed. */
  #noteLag(): void {
    const isReplicated = this.#replicas.ackedThrough >= (this.#head() ?? 0n);
    if (isReplicated) this.#unreplicatedSinceMs = undefined;
    else this.#unreplicatedSinceMs ??= this.#parts.clock.nowMs();
  }

  async #tidy(): Promise<void> {
    await this.#stager.exclusively(() => {
      const { heldAfter, compactedThrough } = this.#replicas;
      return this.#keeper.tidy(heldAfter, compactedThrough);
    });
  }
}

function stopped(): HeadwaterError {
  return new HeadwaterError(
    "engine/stopped",
    "The replication was stopped. Start it again to go on.",
  );
}
