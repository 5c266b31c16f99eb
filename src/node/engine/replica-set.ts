// The replicas of one database, each with a worker of its own. One that is away or has another writer keeps no other
// from going on: the engine asks only how far all of them are.
import { must } from "../../core/base/assert.ts";
import { runTogether } from "../../core/base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../../core/base/errors.ts";
import { formatTxid, toTxid } from "../../core/ltx/txid.ts";
import type { Capture } from "../capture/capture.ts";
import { joinHistory } from "./attach-database.ts";
import type { EngineStatus, LevelsStatus, VerificationStatus } from "./engine-status.ts";
import { joinSeveral } from "./join-several.ts";
import type { EngineParts, VerificationSchedule } from "./parts.ts";
import type { ReplicaLink } from "./replica-link.ts";
import { replicaHash } from "./replica-record.ts";
import { ReplicaWorker } from "./replica-worker.ts";
import type { WorkerHooks } from "./replica-worker.ts";
import { retryStore } from "./retry-store.ts";
import type { Stager } from "./stager.ts";
import { StagingMerger, leastOf } from "./staging-merger.ts";
import type { Waiting } from "./waiting.ts";

/** After these a replica is left alone until a person starts Headwater again; the others go on. */
const finalCodes = ["engine/another-writer", "capture/page-size"] as const;

export interface ReplicaSetHooks extends Pick<
  WorkerHooks,
  "onAcked" | "onUploaded" | "isUrgent" | "isFollowed" | "tidy"
> {
  readonly rejoin: (
    worker: ReplicaWorker,
    ...why: Parameters<WorkerHooks["rejoin"]>
  ) => Promise<void>;
  /** See `StagingKeeper`. */
  readonly savedThrough: () => bigint;
  /** A replica has ended for good, and the others go on. */
  readonly onStopped: (error: unknown) => void;
}

export class ReplicaSet {
  readonly #parts: EngineParts;
  readonly #hooks: ReplicaSetHooks;
  readonly #workers: readonly ReplicaWorker[];

  constructor(
    parts: EngineParts,
    links: readonly ReplicaLink[],
    stager: Stager,
    hooks: ReplicaSetHooks,
  ) {
    this.#parts = parts;
    this.#hooks = hooks;
    const merger = new StagingMerger(parts, {
      readers: () => this.#workers,
      savedThrough: hooks.savedThrough,
    });
    const isOneOfSeveral = links.length > 1;
    this.#workers = links.map((link, index) => {
      const worker: ReplicaWorker = new ReplicaWorker(
        { ...parts, link, logger: link.logger, verification: verificationFor(parts, link, index) },
        {
          stager,
          merger,
          rejoin: (...why) => hooks.rejoin(worker, ...why),
          onAcked: hooks.onAcked,
          onUploaded: hooks.onUploaded,
          isUrgent: hooks.isUrgent,
          isFollowed: hooks.isFollowed,
          tidy: hooks.tidy,
          isOneOfSeveral,
        },
      );
      return worker;
    });
  }

  /** Every TXID up to it is in all replicas; 0 = none. */
  get ackedThrough(): bigint {
    return leastOf(this.#workers.map((worker) => worker.ackedThrough)) ?? 0n;
  }

  /** Staged files up to it are needed by no replica. */
  get heldAfter(): bigint {
    return leastOf(this.#workers.flatMap(({ heldAfter }) => heldAfter ?? [])) ?? 0n;
  }

  /** At least one replica has every TXID up to it. */
  get ackedSomewhere(): bigint {
    return this.#workers.reduce(
      (most, { ackedThrough }) => (most > ackedThrough ? most : ackedThrough),
      0n,
    );
  }

  /** Level 1 of every replica that is at work holds everything up to it. */
  get compactedThrough(): bigint {
    const atWork = this.#workers.filter(({ heldAfter }) => heldAfter !== undefined);
    return leastOf(atWork.map((worker) => worker.compactedThrough)) ?? 0n;
  }

  /** What ended a replica for good, if anything. */
  get stoppedBy(): { readonly error: unknown } | undefined {
    return this.#workers.find(({ stoppedBy }) => stoppedBy !== undefined)?.stoppedBy;
  }

  /** For logs. */
  get urls(): string {
    return this.#workers.map(({ link }) => link.store.url).join(", ");
  }

  /** Something may be there to upload. */
  wake(): void {
    for (const worker of this.#workers) worker.wake();
  }

  /** Somebody waits: pauses between attempts end now. */
  hurry(): void {
    for (const worker of this.#workers) worker.hurry();
  }

  /** All of them have everything up to `txid`, and nothing to do within `ms`. */
  isIdleFor(ms: number, txid: bigint): boolean {
    return this.#workers.every((worker) => worker.isIdleFor(ms, txid));
  }

  /** How long until something is due if nothing changes, ms; `Infinity` = never. */
  get untilUpkeep(): { readonly levelsMs: number; readonly verificationMs: number } {
    const all = this.#workers.map((worker) => worker.untilUpkeep);
    return {
      levelsMs: Math.min(...all.map(({ levelsMs }) => levelsMs)),
      verificationMs: Math.min(...all.map(({ verificationMs }) => verificationMs)),
    };
  }

  /** An earlier engine has left something of the levels to do. */
  noteLeftLevels(): void {
    for (const worker of this.#workers) worker.noteLeftLevels();
  }

  /** Makes one history of the attached database and its replicas. */
  join(capture: Capture, waiting: Waiting): Promise<void> {
    const [first, ...others] = this.#workers;
    return first !== undefined && others.length === 0
      ? joinHistory(first, capture, waiting)
      : joinSeveral(this.#parts, this.#workers, capture, waiting);
  }

  /** Uploads until aborted. Throws what ends replication to every replica. */
  async run(waiting: Waiting): Promise<void> {
    const works = this.#workers.map(
      (worker) =>
        (ending: Waiting): Promise<void> =>
          this.#runOne(worker, ending),
    );
    await runTogether(works, waiting);
  }

  async #runOne(worker: ReplicaWorker, waiting: Waiting): Promise<void> {
    try {
      await worker.run(waiting);
    } catch (error) {
      const others = this.#workers.filter((one) => one !== worker && one.stoppedBy === undefined);
      const isFinal = this.#parts.once || hasCode(error, ...finalCodes);
      if (waiting.signal.aborted || others.length === 0 || !isFinal) throw error;
      worker.stop(error);
      worker.parts.logger.log("error", "replica.stopped", { error: messageOf(error) });
      this.#hooks.onStopped(error);
    }
  }

  /** Puts a full image of the newest TXID into each replica. */
  async snapshot(waiting: Waiting): Promise<void> {
    await this.#each((worker) =>
      retryStore(worker.parts, waiting, () => worker.putSnapshot(waiting)),
    );
  }

  /** Uploads what is staged to each replica. Nothing else may run any more. */
  async finish(waiting: Waiting): Promise<void> {
    await this.#each((worker) => worker.finish(waiting));
  }

  /** Does `work` for all, whatever becomes of the others. */
  async #each(work: (worker: ReplicaWorker) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.#workers.map(work));
    const failures = results.flatMap((result, index) => {
      const worker = this.#workers[index];
      return result.status === "fulfilled" || worker === undefined
        ? []
        : [{ worker, error: result.reason as unknown }];
    });
    const [first] = failures;
    if (first === undefined) return;
    if (this.#workers.length === 1) throw first.error;
    throw this.#behind(failures);
  }

  #behind(failures: readonly { worker: ReplicaWorker; error: unknown }[]): HeadwaterError {
    const { history, path } = this.#parts;
    const lines = failures.map(({ worker, error }) => {
      const { ackedThrough, link } = worker;
      const has =
        ackedThrough === 0n ? "nothing" : `everything through ${formatTxid(toTxid(ackedThrough))}`;
      return `  ${link.store.url} has ${has}: ${messageOf(error)}`;
    });
    const head = history.head === undefined ? "its newest TXID" : formatTxid(history.head.txid);
    const [all, behind] = [this.#workers.length, failures.length];
    return new HeadwaterError(
      "engine/replicas",
      [
        `${path} is at ${head}; ${behind} of its ${all} replicas did not get everything.`,
        ...lines,
      ].join("\n"),
      {
        data: { path, replicas: failures.map(({ worker }) => worker.link.store.url) },
        cause: failures[0]?.error,
      },
    );
  }

  /** What the replicas tell about themselves, and what it comes to for the database. */
  get status(): Pick<
    EngineStatus,
    | "replicatedThrough"
    | "uploadedBytes"
    | "uploadedAtMs"
    | "failingSinceMs"
    | "lastError"
    | "levels"
    | "verification"
    | "replicas"
  > {
    const replicas = this.#workers.map((worker) => worker.status);
    const uploadedAtMs = replicas.flatMap((one) => one.uploadedAtMs ?? []);
    const failing = earliest(replicas);
    return {
      replicatedThrough: this.ackedThrough,
      uploadedBytes: replicas.reduce((sum, one) => sum + one.uploadedBytes, 0),
      uploadedAtMs: uploadedAtMs.length === 0 ? undefined : Math.max(...uploadedAtMs),
      failingSinceMs: failing?.failingSinceMs,
      lastError: failing?.lastError,
      verification: verificationOf(replicas.map(({ verification }) => verification)),
      levels: levelsOf(replicas.map(({ levels }) => levels)),
      replicas,
    };
  }
}

/** The one that has been failing for longest. */
function earliest<T extends Pick<LevelsStatus, "failingSinceMs">>(
  all: readonly T[],
): T | undefined {
  const since = ({ failingSinceMs }: T): number => failingSinceMs ?? Number.POSITIVE_INFINITY;
  return all
    .filter((one) => one.failingSinceMs !== undefined)
    .toSorted((a, b) => since(a) - since(b))[0];
}

/** The one that says most against the replicas. */
function verificationOf(all: readonly VerificationStatus[]): VerificationStatus {
  const ranking = ["failed", "none", "healed", "passed"];
  const rank = ({ result }: VerificationStatus): number => ranking.indexOf(result);
  return must(all.toSorted((a, b) => rank(a) - rank(b))[0], "a replica");
}

type CountOfLevels =
  | "compactions"
  | "snapshots"
  | "deletedFiles"
  | "repairedFiles"
  | "lostFiles"
  | "validationFaults";

function levelsOf(all: readonly LevelsStatus[]): LevelsStatus {
  const sum = (name: CountOfLevels): number => all.reduce((total, one) => total + one[name], 0);
  const failing = earliest(all);
  return {
    compactedThrough: leastOf(all.map(({ compactedThrough }) => compactedThrough)) ?? 0n,
    compactions: sum("compactions"),
    snapshots: sum("snapshots"),
    deletedFiles: sum("deletedFiles"),
    repairedFiles: sum("repairedFiles"),
    lostFiles: sum("lostFiles"),
    validationFaults: sum("validationFaults"),
    validatedAtMs: leastOf(all.flatMap(({ validatedAtMs }) => validatedAtMs ?? [])),
    failingSinceMs: failing?.failingSinceMs,
    lastError: failing?.lastError,
  };
}

/** Each replica has a record of its own; that of the first is the one that is told to who asks. */
function verificationFor(
  { verification }: EngineParts,
  { store }: ReplicaLink,
  index: number,
): VerificationSchedule | undefined {
  if (verification === undefined || index === 0) return verification;
  return { ...verification, replica: replicaHash(store.url) };
}
