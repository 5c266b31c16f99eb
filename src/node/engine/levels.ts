// The levels of one replica: compaction, full images and retention, each on its own schedule, beside replication and never
// in its way. What fails here is logged and tried again later. A database that does not change makes no request and
// has no timer: only an acknowledged level-0 file starts anything.
import { must } from "../../core/base/assert.ts";
import { messageOf } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import { type CompactionPlan, compact, planCompaction } from "../../core/replica/compact.ts";
import { maxLevel } from "../../core/replica/layout.ts";
import { applyRetention } from "../../core/replica/prune.ts";
import { type RetentionPlan, planRetention } from "../../core/replica/retention.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import { Bell } from "./bell.ts";
import type { LevelsStatus } from "./engine-status.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import { LevelJob, retentionIntervalMs } from "./level-job.ts";
import type { EngineParts, LevelSchedule } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

export interface LevelHooks {
  /** Puts a full image of the newest TXID without keeping captures waiting. */
  readonly putSnapshot: (waiting: Waiting) => Promise<void>;
  /** Level 1 holds more than before: staged files may go. */
  readonly onCompacted: () => void;
}

/** A timer longer than this overflows; the loop just looks again. */
const longestWaitMs = 24 * 60 * 60 * 1000;

export class Levels {
  readonly #parts: EngineParts;
  readonly #schedule: LevelSchedule;
  readonly #hooks: LevelHooks;
  readonly #bell = new Bell();
  /** Lower levels first, so that a level finds what the one below has just made. */
  readonly #levelJobs: readonly LevelJob[];
  readonly #snapshotJob: LevelJob;
  readonly #retentionJob: LevelJob;
  readonly #startedAtMs: number;
  /** Keys of level-1 files that were looked at in the store after they were made. */
  readonly #verified = new Set<string>();
  #compactedThrough = 0n;
  #compactions = 0;
  #snapshots = 0;
  #deletedFiles = 0;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;

  constructor(parts: EngineParts, schedule: LevelSchedule, hooks: LevelHooks) {
    this.#parts = parts;
    this.#schedule = schedule;
    this.#hooks = hooks;
    this.#startedAtMs = parts.clock.nowMs();
    this.#levelJobs = schedule.levels.map((intervalMs, index) => {
      const level = index + 1;
      return new LevelJob(`level-${level}`, intervalMs, (waiting) => this.#compact(level, waiting));
    });
    this.#snapshotJob = new LevelJob("snapshot", schedule.snapshotIntervalMs, (waiting) =>
      this.#snapshot(waiting),
    );
    const checkMs = retentionIntervalMs(schedule.levels, schedule.retention.l0RetentionMs);
    this.#retentionJob = new LevelJob("retention", checkMs, (waiting) => this.#retain(waiting));
  }

  /**
   * Level 1 holds everything up to it; staged files after it are kept to be merged from local disk. `undefined` if there
   * is no level 1.
   */
  get compactedThrough(): bigint | undefined {
    return this.#levelJobs.length === 0 ? undefined : this.#compactedThrough;
  }

  get status(): LevelsStatus {
    return {
      compactedThrough: this.#compactedThrough,
      compactions: this.#compactions,
      snapshots: this.#snapshots,
      deletedFiles: this.#deletedFiles,
      failingSinceMs: this.#failingSinceMs,
      lastError: this.#lastError,
    };
  }

  /** The replica has taken a level-0 file. */
  noteUpload(): void {
    const [first] = this.#levelJobs;
    if (first !== undefined) first.isPending = true;
    this.#snapshotJob.isPending = true;
    this.#bell.ring();
  }

  /** Works until aborted. Never throws. */
  async run({ signal }: Waiting): Promise<void> {
    const { clock, logger } = this.#parts;
    if (!this.#schedule.retentionEnabled) {
      logger.log("warn", "retention.off", { hint: "nothing in the replica is ever deleted" });
    }
    const jobs = this.#jobs;
    while (!signal.aborted) {
      const jobMs = Math.min(...jobs.map((job) => job.msUntilDue(clock.nowMs())));
      const dueMs = Math.max(jobMs, this.#msUntilPaid());
      await this.#bell.wait(
        Number.isFinite(dueMs) ? Math.min(dueMs, longestWaitMs) : undefined,
        signal,
      );
      // Whatever is due is done together, on credit: one after the other, the first would always be first.
      if (this.#msUntilPaid() > 0) continue;
      for (const job of jobs) {
        if (signal.aborted) return;
        if (job.msUntilDue(clock.nowMs()) === 0) await this.#attempt(job, { signal });
      }
    }
  }

  /** The budget has not earned yet what was done last, so nothing more is done. */
  #msUntilPaid(): number {
    return this.#parts.budget?.msUntilUpkeep() ?? 0;
  }

  get #jobs(): readonly LevelJob[] {
    return [...this.#levelJobs, this.#snapshotJob, this.#retentionJob];
  }

  async #attempt(job: LevelJob, { signal }: Waiting): Promise<void> {
    const { clock, random, logger, link } = this.#parts;
    try {
      const atLeastMs = await job.work({ signal });
      if (job.failures > 0) logger.log("info", `${job.name}.recovered`, {});
      job.noteDone(clock.nowMs(), atLeastMs);
      if (this.#jobs.every(({ failures }) => failures === 0)) {
        this.#failingSinceMs = undefined;
        this.#lastError = undefined;
      }
    } catch (error) {
      if (signal.aborted) return;
      // What is in the replica is no longer certain.
      link.known.forget();
      this.#verified.clear();
      const waitMs = job.noteFailure(clock.nowMs(), random);
      this.#failingSinceMs ??= clock.nowMs();
      this.#lastError = messageOf(error);
      const { failures } = job;
      logger.log("warn", `${job.name}.failed`, { failures, waitMs, error: this.#lastError });
    }
  }

  async #files({ signal }: Waiting): Promise<readonly ReplicaFile[]> {
    const { link } = this.#parts;
    if (!link.known.isLoaded) {
      await link.known.load(() => listReplica(link.upkeepStore, link.layout, { signal }));
      for (const job of this.#levelJobs) job.isPending = true;
      this.#retentionJob.isPending = this.#schedule.retentionEnabled;
    }
    return link.known.files;
  }

  // --- compaction ------------------------------------------------------------------------------------

  async #compact(level: number, waiting: Waiting): Promise<undefined> {
    const job = must(this.#levelJobs[level - 1], "the job of the level");
    const files = await this.#files(waiting);
    if (level === 1) this.#noteLevel1(files);
    // What comes meanwhile is left to the next interval, or a busy database would never let this end.
    const through = newestTxid(files.filter((file) => file.level === level - 1));
    const nowMs = this.#parts.clock.nowMs();
    const interval = { startMs: job.boundaryMs(nowMs), nowMs };
    let plan = planCompaction(files, { level, interval });
    while (plan !== undefined) {
      const next = plan;
      const made = await heavyJobs.run(() => this.#make(next, waiting), waiting);
      plan =
        made.maxTxid < through
          ? planCompaction(this.#parts.link.known.files, { level })
          : undefined;
    }
    job.isPending = planCompaction(this.#parts.link.known.files, { level }) !== undefined;
    return undefined;
  }

  async #make(plan: CompactionPlan, { signal }: Waiting): Promise<ReplicaFile> {
    const { link, codec, state, clock, logger } = this.#parts;
    const startedMs = clock.monotonicMs();
    await link.lease.hold({ signal });
    warnOfGap(this.#parts, plan);
    const { file, how, inputBytes } = await compact(plan, {
      store: link.upkeepStore,
      layout: link.layout,
      codec,
      nodeId: state.nodeId,
      localBody: (input) => this.#stagedBody(input),
      signal,
    });
    link.known.add(file, clock.nowMs());
    this.#compactions++;
    const { level, minTxid, maxTxid, sizeBytes } = file;
    const above = this.#levelJobs[level];
    if (above !== undefined) above.isPending = true;
    if (level === 1) {
      this.#verified.add(file.key);
      this.#noteLevel1([file]);
      this.#retentionJob.isPending = this.#schedule.retentionEnabled;
    }
    logger.log("debug", "ltx.compacted", {
      level,
      minTxid: formatTxid(minTxid),
      maxTxid: formatTxid(maxTxid),
      files: plan.inputs.length,
      how,
      inputBytes,
      sizeBytes,
      elapsedMs: Math.round(clock.monotonicMs() - startedMs),
    });
    return file;
  }

  #noteLevel1(files: readonly ReplicaFile[]): void {
    const before = this.#compactedThrough;
    for (const { level, maxTxid } of files) {
      if (level === 1 && maxTxid > this.#compactedThrough) this.#compactedThrough = maxTxid;
    }
    if (this.#compactedThrough > before) this.#hooks.onCompacted();
  }

  /** The staged file that was put as this one. */
  #stagedBody({ level, minTxid, maxTxid, sizeBytes }: ReplicaFile): ObjectBody | undefined {
    const { staging } = this.#parts;
    const staged = level === 0 ? staging.find(maxTxid) : undefined;
    const isSame = staged?.minTxid === minTxid && staged.sizeBytes === sizeBytes;
    return isSame ? staging.body(staged) : undefined;
  }

  // --- full images -----------------------------------------------------------------------------------

  async #snapshot(waiting: Waiting): Promise<undefined> {
    const { clock } = this.#parts;
    const files = await this.#files(waiting);
    const newest = files
      .filter(({ level }) => level === maxLevel)
      .reduce<ReplicaFile | undefined>(
        (best, file) => (best === undefined || file.maxTxid > best.maxTxid ? file : best),
        undefined,
      );
    if (newest !== undefined && newest.maxTxid === newestTxid(files)) {
      this.#snapshotJob.isPending = false;
      return undefined;
    }
    const nowMs = clock.nowMs();
    const newestMs = newest?.timestampMs ?? Number.NEGATIVE_INFINITY;
    const isTooEarly = newestMs > this.#snapshotJob.boundaryMs(nowMs) && newestMs <= nowMs;
    if (isTooEarly) return undefined;
    this.#snapshotJob.isPending = false;
    try {
      await heavyJobs.run(() => this.#hooks.putSnapshot(waiting), waiting);
    } catch (error) {
      this.#snapshotJob.isPending = true;
      throw error;
    }
    this.#snapshots++;
    this.#retentionJob.isPending = this.#schedule.retentionEnabled;
    return undefined;
  }

  // --- retention -------------------------------------------------------------------------------------

  async #retain(waiting: Waiting): Promise<number | undefined> {
    const { clock, link } = this.#parts;
    const { graceMs } = this.#schedule.retention;
    const nowMs = clock.nowMs();
    // What a restore begun before our start has planned cannot be known from what we put.
    const restMs = this.#startedAtMs + graceMs - nowMs;
    if (restMs > 0) return restMs;
    await this.#files(waiting);
    let plan = this.#planRetention();
    if (plan.gone.length > 0) {
      // Deleting is decided on what the store lists now, not on what we remember of it.
      await link.known.load(() => listReplica(link.upkeepStore, link.layout, waiting));
      plan = this.#planRetention();
      await this.#delete(plan, waiting);
    }
    const waitMs = this.#msUntilMoreGoes(plan);
    this.#retentionJob.isPending = waitMs !== undefined;
    return waitMs;
  }

  #planRetention(): RetentionPlan {
    const { clock, link } = this.#parts;
    return planRetention(link.known.filesAsPut, this.#schedule.retention, clock.nowMs());
  }

  async #delete(plan: RetentionPlan, { signal }: Waiting): Promise<void> {
    const { link, logger } = this.#parts;
    const { gone } = plan;
    if (gone.length === 0) return;
    await link.lease.hold({ signal });
    const isVerified = ({ key }: ReplicaFile): boolean => this.#verified.has(key);
    // First from what is known: whoever compares it with a listing must not miss what is on its way out. A failure forgets
    // all that is known.
    link.known.remove(gone);
    await applyRetention(plan, {
      store: link.upkeepStore,
      layout: link.layout,
      isVerified,
      signal,
    });
    for (const { key } of gone) this.#verified.delete(key);
    this.#deletedFiles += gone.length;
    const sizeBytes = gone.reduce((sum, file) => sum + file.sizeBytes, 0);
    logger.log("debug", "retention.deleted", { files: gone.length, sizeBytes });
  }

  /** `undefined`: nothing goes before something new is put. */
  #msUntilMoreGoes({ verdicts }: RetentionPlan): number | undefined {
    const { snapshotRetentionMs, graceMs } = this.#schedule.retention;
    const nowMs = this.#parts.clock.nowMs();
    const waits = verdicts.flatMap(({ file, reason }) => {
      if (reason === "in-recent-plan") return [graceMs];
      if (reason !== "young") return [];
      const ageMs = nowMs - file.timestampMs;
      const needMs = file.level === maxLevel ? Math.max(snapshotRetentionMs, graceMs) : 0;
      return [Math.max(0, needMs - ageMs)];
    });
    return waits.length === 0 ? undefined : Math.min(...waits);
  }
}

function warnOfGap({ logger }: EngineParts, { level, inputs, predecessor }: CompactionPlan): void {
  const [first] = inputs;
  if (predecessor === undefined || first === undefined) return;
  if (first.minTxid <= predecessor.maxTxid + 1n) return;
  logger.log("warn", "level.gap", {
    level,
    after: formatTxid(predecessor.maxTxid),
    before: formatTxid(first.minTxid),
  });
}

function newestTxid(files: readonly ReplicaFile[]): bigint {
  return files.reduce((max, { maxTxid }) => (maxTxid > max ? maxTxid : max), 0n);
}
