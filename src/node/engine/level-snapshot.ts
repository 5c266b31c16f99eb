// Full images of one replica on their schedule: one in each interval in which anything was put, and one whenever a repair needs
// it. How an image is put without keeping captures waiting is the work of others.
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { maxLevel } from "../../core/replica/layout.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import { newestTxid } from "./level-compaction.ts";
import type { LevelJob } from "./level-job.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

export interface SnapshotHooks {
  /** Puts a full image of the newest TXID. */
  readonly put: (waiting: Waiting) => Promise<void>;
  readonly onPut: () => void;
}

export class LevelSnapshot {
  readonly #parts: ReplicaParts;
  readonly #hooks: SnapshotHooks;
  #count = 0;

  constructor(parts: ReplicaParts, hooks: SnapshotHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** Images put by this process. */
  get count(): number {
    return this.#count;
  }

  /** Puts the image of this interval, unless `files` have it, or nothing that it would add. */
  async run(job: LevelJob, files: readonly ReplicaFile[], waiting: Waiting): Promise<void> {
    const newest = newestImage(files);
    if (newest !== undefined && newest.maxTxid === newestTxid(files)) {
      job.isPending = false;
      return;
    }
    const nowMs = this.#parts.clock.nowMs();
    const newestMs = newest?.timestampMs ?? Number.NEGATIVE_INFINITY;
    const isTooEarly = newestMs > job.boundaryMs(nowMs) && newestMs <= nowMs;
    if (isTooEarly) return;
    job.isPending = false;
    try {
      await heavyJobs.run(() => this.put(waiting), waiting);
    } catch (error) {
      job.isPending = true;
      throw error;
    }
  }

  /** Puts one now. */
  async put(waiting: Waiting): Promise<void> {
    await this.#hooks.put(waiting);
    this.#count++;
    this.#hooks.onPut();
  }
}

/** The newest full image among the files. */
export function newestImage(files: readonly ReplicaFile[]): ReplicaFile | undefined {
  return files
    .filter(({ level }) => level === maxLevel)
    .reduce<ReplicaFile | undefined>(
      (best, file) => (best === undefined || file.maxTxid > best.maxTxid ? file : best),
      undefined,
    );
}
