// The engine of one database: attaches and settles (attacher.ts), then captures and uploads until it is stopped. One loop
// decides what is captured and staged (capture-loop.ts); carrying it to a replica is the work of its worker (replica-worker.ts).
import { runTogether } from "../../core/base/async.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { Attacher } from "./attacher.ts";
import { commonBudget } from "./budget-keeper.ts";
import { Cadence } from "./cadence.ts";
import { CaptureLoop } from "./capture-loop.ts";
import { CheckpointPolicy } from "./checkpoint-policy.ts";
import { LitestreamWatch } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import type { ReplicaLink } from "./replica-link.ts";
import { ReplicaSet } from "./replica-set.ts";
import { RestTaker } from "./rest-taker.ts";
import type { RestRequest } from "./rest-taker.ts";
import type { RestRecord } from "./rest-record.ts";
import { Stager } from "./stager.ts";
import { StagingKeeper } from "./staging-keeper.ts";
import { SyncRequests } from "./sync-requests.ts";
import type { EngineStatus } from "./engine-status.ts";
import type { Waiting } from "./waiting.ts";

export class DatabaseEngine {
  readonly #parts: EngineParts;
  readonly #replicas: ReplicaSet;
  readonly #keeper: StagingKeeper;
  readonly #stager: Stager;
  readonly #syncs = new SyncRequests();
  readonly #checkpoints: CheckpointPolicy;
  readonly #cadence: Cadence;
  readonly #litestream: LitestreamWatch;
  readonly #rest: RestTaker;
  readonly #loop: CaptureLoop;
  readonly #attacher: Attacher;
  #state: EngineStatus["state"] = "starting";
  #unreplicatedSinceMs: number | undefined;
  #feeding: Disposable | undefined;

  constructor(parts: EngineParts, links: readonly ReplicaLink[]) {
    this.#parts = parts;
    this.#keeper = new StagingKeeper(parts);
    this.#litestream = new LitestreamWatch(parts);
    const { clock, logger, limits } = parts;
    const { syncIntervalMs, pushIntervalMs } = limits;
    const isFollowed = (): boolean => parts.feed?.isFollowed === true;
    const budget = commonBudget(links.map((link) => link.budget));
    this.#cadence = new Cadence({
      clock,
      logger,
      syncIntervalMs,
      budget,
      pushIntervalMs,
      isFollowed,
    });
    this.#checkpoints = new CheckpointPolicy(clock, logger, limits.maxWalSizeBytes);
    this.#stager = new Stager(parts, this.#checkpoints, () => this.#staged());
    this.#replicas = new ReplicaSet(parts, links, this.#stager, {
      rejoin: (...why) => this.#attacher.rejoin(...why),
      onAcked: () => this.#acknowledged(),
      onUploaded: () => this.#cadence.noteUpload(),
      isUrgent: () => this.#syncs.isAimed,
      isFollowed,
      savedThrough: () => this.#keeper.savedThrough,
      onStopped: (error) => this.#syncs.rejectReplicated(error),
      tidy: () => this.#tidy(),
    });
    const [stager, replicas, keeper] = [this.#stager, this.#replicas, this.#keeper];
    const litestream = this.#litestream;
    this.#rest = new RestTaker(parts, { stager, replicas, keeper, litestream });
    this.#loop = new CaptureLoop({
      parts,
      stager,
      checkpoints: this.#checkpoints,
      cadence: this.#cadence,
      litestream,
      isAwaited: () => this.#syncs.isWaiting,
      onNews: () => this.#rest.noteNews(),
      flush: (waiting) => this.#flush(waiting),
      attach: (waiting) => this.#attacher.attach(waiting),
    });
    this.#attacher = new Attacher({
      parts,
      stager,
      replicas,
      keeper,
      litestream,
      onState: (state) => {
        this.#state = state;
      },
      onSettled: () => this.#aimAnew(),
      onNews: () => this.#rest.noteNews(),
      attachSoon: (fault) => this.#attachSoon(fault),
    });
    parts.history.whenFull(() => this.#keeper.makeRoom(this.#replicas.ackedSomewhere));
  }

  /**
   * Attaches and settles, waiting for a database that is missing or locked, and for a store that does not answer.
   * Throws what waiting cannot mend.
   */
  async open({ signal }: Waiting): Promise<void> {
    await this.#keeper.load();
    await this.#attacher.attach({ signal });
    this.#feeding = this.#feed();
  }

  /** From now on others can follow: until here what is staged may have been set aside. */
  #feed(): Disposable | undefined {
    return this.#parts.feed?.open({
      staging: this.#parts.staging,
      durableTxid: () => this.#replicas.ackedThrough,
      stage: (waiting) => this.stage(waiting),
      onFollowed: () => {
        this.#loop.wake();
        this.#replicas.wake();
      },
    });
  }

  /** Replicates until aborted. Throws what ends replication: another writer, another page size, our own bug. */
  async run(waiting: Waiting): Promise<void> {
    try {
      await runTogether(
        [(ending) => this.#replicas.run(ending), (ending) => this.#loop.run(ending)],
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
    this.#loop.inspectSoon();
    this.#replicas.hurry();
    const { stoppedBy } = this.#replicas;
    if (stoppedBy !== undefined) this.#syncs.rejectReplicated(stoppedBy.error);
    return request;
  }

  /** Resolves when everything committed before the call is staged on local disk. */
  async stage(waiting: Waiting): Promise<Txid> {
    if (this.#state === "stopped") throw stopped();
    const request = this.#syncs.add("staged", waiting);
    this.#loop.inspectSoon();
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
    this.#feeding?.[Symbol.dispose]();
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

  /** `false`: the engine stops, and no more is attached. */
  #attachSoon(fault: unknown): boolean {
    if (this.#state === "stopping") return false;
    this.#stager.noteFault(fault);
    this.#loop.wake();
    return true;
  }

  #aimAnew(): void {
    const head = this.#head();
    if (head !== undefined) this.#syncs.aimAnew(head);
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

  #staged(): void {
    this.#replicas.wake();
    this.#parts.feed?.notify();
  }

  #acknowledged(): void {
    this.#parts.feed?.notify();
    const { staging, history } = this.#parts;
    const endOf = (txid: Txid): Txid => staging.endOf(txid);
    if (history.head !== undefined) this.#syncs.resolveThrough(this.#replicas.ackedThrough, endOf);
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
