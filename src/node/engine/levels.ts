// The levels of one replica: compaction, full images and retention, each on its own schedule, beside replication and never
// in its way. What fails here is logged and tried again later. A database that does not change makes no request and
// has no timer: only an acknowledged level-0 file starts anything.
import { must } from "../../core/base/assert.ts";
import { Mutex } from "../../core/base/async.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import { msUntilUpkeep } from "./brief-wake.ts";
import type { LevelsStatus } from "./engine-status.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import { LevelChecksums } from "./level-checksums.ts";
import { LevelCompaction } from "./level-compaction.ts";
import { LevelHotPages } from "./level-hot-pages.ts";
import { LevelJob, retentionIntervalMs } from "./level-job.ts";
import { LevelRepair } from "./level-repair.ts";
import { LevelRetention } from "./level-retention.ts";
import { LevelSnapshot } from "./level-snapshot.ts";
import { LevelValidation } from "./level-validation.ts";
import { LevelWork } from "./level-work.ts";
import type { ManifestBook } from "./manifest-book.ts";
import type { LevelSchedule, ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

export interface LevelHooks {
  /** Puts a full image of the newest TXID without keeping captures waiting. */
  readonly putSnapshot: (waiting: Waiting) => Promise<void>;
  /** Level 1 holds more than before: staged files may go. */
  readonly onCompacted: () => void;
}

export class Levels {
  readonly #parts: ReplicaParts;
  readonly #schedule: LevelSchedule;
  readonly #listing = new Mutex();
  /** Lower levels first, so that a level finds what the one below has just made. */
  readonly #levelJobs: readonly LevelJob[];
  readonly #snapshotJob: LevelJob;
  readonly #retentionJob: LevelJob;
  readonly #repairJob: LevelJob;
  readonly #validationJob: LevelJob | undefined;
  readonly #checksumJob: LevelJob | undefined;
  readonly #hotPagesJob: LevelJob | undefined;
  readonly #validation: LevelValidation;
  readonly #checksums: LevelChecksums;
  readonly #compaction: LevelCompaction;
  readonly #repair: LevelRepair;
  readonly #retention: LevelRetention;
  readonly #snapshots: LevelSnapshot;
  readonly #work: LevelWork;

  constructor(parts: ReplicaParts, schedule: LevelSchedule, hooks: LevelHooks) {
    this.#parts = parts;
    this.#schedule = schedule;
    this.#compaction = new LevelCompaction(parts, {
      usable: () => this.#known,
      soundFiles: (waiting) => this.#soundFiles(waiting),
      prove: (file, waiting) => this.#repair.prove(file, waiting),
      onMade: (file) => this.#noteMade(file),
      onCompacted: hooks.onCompacted,
    });
    const onPut = (): void => this.#noteSnapshot();
    this.#snapshots = new LevelSnapshot(parts, { put: hooks.putSnapshot, onPut });
    this.#repair = new LevelRepair(parts, {
      make: (plan, options) => this.#compaction.make(plan, options),
      putSnapshot: (waiting) => this.#snapshots.put(waiting),
      localBody: (file) => this.#compaction.stagedBody(file),
    });
    this.#retention = new LevelRetention(parts, schedule, this.#repair);
    this.#levelJobs = schedule.levels.map((intervalMs, index) => {
      const level = index + 1;
      return new LevelJob(`level-${level}`, intervalMs, (waiting) => this.#compact(level, waiting));
    });
    this.#snapshotJob = new LevelJob("snapshot", schedule.snapshotIntervalMs, (waiting) =>
      this.#snapshot(waiting),
    );
    const checkMs = retentionIntervalMs(schedule.levels, schedule.retention.l0RetentionMs);
    this.#retentionJob = new LevelJob("retention", checkMs, (waiting) => this.#retain(waiting));
    this.#validation = new LevelValidation(parts);
    if (schedule.validationIntervalMs > 0) {
      const job = new LevelJob("validation", schedule.validationIntervalMs, (waiting) =>
        this.#validate(waiting),
      );
      job.isPending = true;
      this.#validationJob = job;
    }
    this.#checksums = new LevelChecksums(parts);
    if (schedule.pageChecksums) {
      this.#checksumJob = new LevelJob("page-checksums", checkMs, async (waiting) => {
        await this.#checksums.run(await this.#files(waiting), waiting);
        return undefined;
      });
      this.#checksumJob.isPending = true;
    }
    const { manifest } = parts.link;
    this.#hotPagesJob = manifest && this.#hotPagesJobOf(manifest);
    this.#repairJob = new LevelJob("repair", checkMs, (waiting) => this.#mend(waiting));
    const jobs = [
      this.#repairJob,
      ...this.#levelJobs,
      this.#snapshotJob,
      this.#retentionJob,
      this.#checksumJob,
      this.#hotPagesJob,
      this.#validationJob,
    ].filter((job) => job !== undefined);
    this.#work = new LevelWork(parts, jobs, {
      msUntilMay: () => this.#msUntilMay(),
      onDone: () => this.#noteDone(),
      onFailed: (error) => this.#noteFailed(error),
    });
  }

  #hotPagesJobOf(manifest: ManifestBook): LevelJob {
    const hotPages = new LevelHotPages(this.#parts, manifest);
    const intervalMs = this.#schedule.levels.at(-1) ?? this.#schedule.snapshotIntervalMs;
    const job = new LevelJob("hot-pages", intervalMs, async (waiting) => {
      await hotPages.run(await this.#soundFiles(waiting), waiting);
      job.isPending = false;
      return undefined;
    });
    return job;
  }

  /**
   * Level 1 holds everything up to it; staged files after it are kept to be merged from local disk. `undefined` if there
   * is no level 1.
   */
  get compactedThrough(): bigint | undefined {
    return this.#levelJobs.length === 0 ? undefined : this.#compaction.through;
  }

  /** True while a job runs or will within `ms`, or has to be tried again. What is left for later keeps nobody awake. */
  isBusyWithin(ms: number): boolean {
    const isSoon = msUntilUpkeep(this.#parts) === 0 && this.msUntilDue <= ms;
    return this.#work.isAtWork || isSoon || this.#work.failingSinceMs !== undefined;
  }

  /** How long until something is due if nothing changes, ms; `Infinity` = never. */
  get msUntilDue(): number {
    return this.#work.msUntilDue;
  }

  get status(): LevelsStatus {
    return {
      compactedThrough: this.#compaction.through,
      compactions: this.#compaction.compactions,
      snapshots: this.#snapshots.count,
      deletedFiles: this.#retention.deletedFiles,
      repairedFiles: this.#repair.repairedFiles + this.#compaction.filledFiles,
      lostFiles: this.#repair.lostFiles,
      validationFaults: this.#validation.faults,
      validatedAtMs: this.#validation.validatedAtMs,
      failingSinceMs: this.#work.failingSinceMs,
      lastError: this.#work.lastError,
    };
  }

  /** There may be something to do: the replica has taken a level-0 file, or an earlier engine has left something. */
  noteUpload(): void {
    const [first] = this.#levelJobs;
    if (first !== undefined) first.isPending = true;
    this.#snapshotJob.isPending = true;
    this.#work.ring();
  }

  /** The manifest names no hot pages. */
  noteNoHotPages(): void {
    this.#notePagesMoved();
    this.#work.ring();
  }

  /** Works until aborted. Never throws. */
  async run({ signal }: Waiting): Promise<void> {
    if (!this.#schedule.retentionEnabled) {
      const hint = "nothing in the replica is ever deleted";
      this.#parts.logger.log("warn", "retention.off", { hint });
    }
    await this.#work.run({ signal });
  }

  /** Nothing is done before its time, nor while the budget has not earned yet what was done last. */
  #msUntilMay(): number {
    return Math.max(msUntilUpkeep(this.#parts), this.#parts.link.budget?.msUntilUpkeep() ?? 0);
  }

  #noteDone(): void {
    if (this.#checksumJob === undefined) return;
    this.#checksumJob.isPending = this.#checksums.isBehind(this.#known);
  }

  #noteFailed(error: unknown): void {
    this.#repair.noteFault(error);
    this.#repairJob.isPending = this.#repair.isPending;
    // What is in the replica is no longer certain.
    this.#parts.link.known.forget();
  }

  /** What may be built upon; `undefined` if the listing came into doubt while it was made. */
  async knownFiles(waiting: Waiting): Promise<readonly ReplicaFile[] | undefined> {
    const files = await this.#files(waiting);
    return this.#parts.link.known.isLoaded ? files : undefined;
  }

  async #files(waiting: Waiting): Promise<readonly ReplicaFile[]> {
    const { link } = this.#parts;
    await this.#listing.run(async () => {
      if (link.known.isLoaded) return;
      await this.#list(waiting);
      for (const job of this.#levelJobs) job.isPending = true;
      this.#retentionJob.isPending = this.#schedule.retentionEnabled;
    }, waiting);
    return this.#known;
  }

  async #list({ signal }: Waiting): Promise<void> {
    const { link } = this.#parts;
    await link.known.load(() => listReplica(link.upkeepStore, link.layout, { signal }));
    if (!link.known.isLoaded) return;
    this.#repair.noteListing(link.known.files);
    this.#repairJob.isPending = this.#repair.isPending;
  }

  get #known(): readonly ReplicaFile[] {
    return this.#repair.usable(this.#parts.link.known.files);
  }

  async #mend(waiting: Waiting): Promise<undefined> {
    await this.#soundFiles(waiting);
    for (const job of this.#levelJobs) job.isPending = true;
    return undefined;
  }

  /** The same, once what was suspected is mended: what is compacted past a file would leave a hole there. */
  async #soundFiles(waiting: Waiting): Promise<readonly ReplicaFile[]> {
    await this.#files(waiting);
    if (this.#repair.isPending) {
      await heavyJobs.run(() => this.#repair.run(waiting), waiting);
      this.#repairJob.isPending = this.#repair.isPending;
    }
    return this.#known;
  }

  /** Litestream's check of all levels; what is missing and can be made is made by their next compaction. */
  async #validate(waiting: Waiting): Promise<undefined> {
    await this.#list(waiting);
    this.#validation.check(this.#parts.link.known.files);
    if (this.#validation.faults > 0) for (const job of this.#levelJobs) job.isPending = true;
    return undefined;
  }

  // --- compaction ------------------------------------------------------------------------------------

  async #compact(level: number, waiting: Waiting): Promise<undefined> {
    const job = must(this.#levelJobs[level - 1], "the job of the level");
    const files = await this.#soundFiles(waiting);
    await this.#compaction.run(level, job, files, waiting);
    return undefined;
  }

  #noteMade(file: ReplicaFile): void {
    const { link, clock } = this.#parts;
    link.known.add(file, clock.nowMs());
    this.#repair.noteMade(file);
    this.#checksums.noteReplaced(file);
    const above = this.#levelJobs[file.level];
    if (above !== undefined) above.isPending = true;
    if (file.level >= this.#levelJobs.length) this.#notePagesMoved();
    if (file.level === 1) this.#retentionJob.isPending = this.#schedule.retentionEnabled;
  }

  // --- full images -----------------------------------------------------------------------------------

  async #snapshot(waiting: Waiting): Promise<undefined> {
    await this.#snapshots.run(this.#snapshotJob, await this.#files(waiting), waiting);
    return undefined;
  }

  #noteSnapshot(): void {
    this.#notePagesMoved();
    this.#retentionJob.isPending = this.#schedule.retentionEnabled;
  }

  /** The pages that readers need first lie in the largest files. */
  #notePagesMoved(): void {
    if (this.#hotPagesJob !== undefined) this.#hotPagesJob.isPending = true;
  }

  // --- retention -------------------------------------------------------------------------------------

  async #retain(waiting: Waiting): Promise<number | undefined> {
    const restMs = this.#retention.msUntilAllowed();
    if (restMs > 0) return restMs;
    await this.#files(waiting);
    const { waitMs, isHeldUp } = await this.#retention.run(() => this.#list(waiting), waiting);
    this.#repairJob.isPending = this.#repair.isPending;
    this.#retentionJob.isPending = isHeldUp || waitMs !== undefined;
    return waitMs;
  }
}
