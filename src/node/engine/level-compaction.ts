// Compaction of one replica: carries out the plans by which a level is made from the one below, and makes again what is
// missing inside a level. When that is due, and what it means for the other jobs, is decided in levels.ts.
import { formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { compact } from "../../core/replica/compact.ts";
import { type CompactionPlan, planCompaction } from "../../core/replica/plan-compaction.ts";
import { planFill } from "../../core/replica/repair.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import type { LevelJob } from "./level-job.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

export interface CompactionHooks {
  /** What may be built upon, as far as it is known. */
  readonly usable: () => readonly ReplicaFile[];
  /** The same, once what was suspected is mended. */
  readonly soundFiles: (waiting: Waiting) => Promise<readonly ReplicaFile[]>;
  /** Reads a file in whole; `false` if it has to be repaired first. */
  readonly prove: (file: ReplicaFile, waiting: Waiting) => Promise<boolean>;
  /** A file of a level has been put and looked at. */
  readonly onMade: (file: ReplicaFile) => void;
  /** Level 1 holds more than before. */
  readonly onCompacted: () => void;
}

export class LevelCompaction {
  readonly #parts: ReplicaParts;
  readonly #hooks: CompactionHooks;
  #through = 0n;
  #compactions = 0;
  #filledFiles = 0;

  constructor(parts: ReplicaParts, hooks: CompactionHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** Level 1 holds everything up to it, as far as has been seen; 0 = nothing. */
  get through(): bigint {
    return this.#through;
  }

  /** Files made by this process. */
  get compactions(): number {
    return this.#compactions;
  }

  /** Those among them that had been missing inside a level. */
  get filledFiles(): number {
    return this.#filledFiles;
  }

  /** Makes what the level lacks of `files`, which are sound; notes whether there is more by now. */
  async run(
    level: number,
    job: LevelJob,
    files: readonly ReplicaFile[],
    waiting: Waiting,
  ): Promise<void> {
    const { usable, soundFiles } = this.#hooks;
    this.#noteThrough(level, files);
    await this.#fill(level, waiting);
    // What comes meanwhile is left to the next interval, or a busy database would never let this end.
    const through = newestTxid(files.filter((file) => file.level === level - 1));
    const nowMs = this.#parts.clock.nowMs();
    const interval = { startMs: job.boundaryMs(nowMs), nowMs };
    let plan = planCompaction(files, { level, interval });
    while (plan !== undefined) {
      const next = plan;
      if (!(await this.#mayPromote(next, waiting))) {
        plan = planCompaction(await soundFiles(waiting), { level });
        continue;
      }
      const made = await heavyJobs.run(() => this.make(next, waiting), waiting);
      plan = made.maxTxid < through ? planCompaction(usable(), { level }) : undefined;
    }
    job.isPending = planCompaction(usable(), { level }) !== undefined;
  }

  /** A single file is copied inside the store: nobody would notice that it is damaged, and two would be. */
  async #mayPromote({ inputs, level }: CompactionPlan, waiting: Waiting): Promise<boolean> {
    const [only] = inputs;
    if (inputs.length > 1 || only === undefined || level === 1) return true;
    return this.#hooks.prove(only, waiting);
  }

  /** Makes what is missing inside the level and still lies in the level below. */
  async #fill(level: number, waiting: Waiting): Promise<void> {
    for (;;) {
      const plan = planFill(this.#hooks.usable(), level);
      if (plan === undefined) return;
      const { minTxid, maxTxid } = await heavyJobs.run(() => this.make(plan, waiting), waiting);
      this.#filledFiles++;
      this.#parts.logger.log("warn", "level.filled", {
        level,
        minTxid: formatTxid(minTxid),
        maxTxid: formatTxid(maxTxid),
      });
    }
  }

  /** Carries out one plan; `replaces` is the etag of a damaged object of that name. */
  async make(
    plan: CompactionPlan,
    { signal, replaces }: Waiting & { readonly replaces?: string | undefined },
  ): Promise<ReplicaFile> {
    const { link, codec, state, clock, logger } = this.#parts;
    const startedMs = clock.monotonicMs();
    await link.lease.hold({ signal });
    warnOfGap(this.#parts, plan);
    const { file, how, inputBytes, facts } = await compact(plan, {
      store: link.upkeepStore,
      layout: link.layout,
      codec,
      nodeId: state.nodeId,
      localBody: (input) => this.stagedBody(input),
      replaces,
      signal,
    });
    this.#compactions++;
    this.#noteThrough(plan.level, [file]);
    this.#hooks.onMade(file);
    const [first] = plan.inputs;
    link.manifest?.notePut(file, facts ?? (first && link.manifest.factsOf(first)));
    const { level, minTxid, maxTxid, sizeBytes } = file;
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

  #noteThrough(level: number, files: readonly ReplicaFile[]): void {
    if (level !== 1) return;
    const newest = newestTxid(files.filter((file) => file.level === 1));
    if (newest <= this.#through) return;
    this.#through = newest;
    this.#hooks.onCompacted();
  }

  /** The staged file that was put as this one. */
  stagedBody({ level, minTxid, maxTxid, sizeBytes }: ReplicaFile): ObjectBody | undefined {
    const { staging } = this.#parts;
    const staged = level === 0 ? staging.find(maxTxid) : undefined;
    const isSame = staged?.minTxid === minTxid && staged.sizeBytes === sizeBytes;
    return isSame ? staging.body(staged) : undefined;
  }
}

/** The newest of the files; 0 = none. */
export function newestTxid(files: readonly ReplicaFile[]): bigint {
  return files.reduce((max, { maxTxid }) => (maxTxid > max ? maxTxid : max), 0n);
}

function warnOfGap({ logger }: ReplicaParts, { level, inputs, predecessor }: CompactionPlan): void {
  const [first] = inputs;
  if (predecessor === undefined || first === undefined) return;
  if (first.minTxid <= predecessor.maxTxid + 1n) return;
  logger.log("warn", "level.gap", {
    level,
    after: formatTxid(predecessor.maxTxid),
    before: formatTxid(first.minTxid),
  });
}
