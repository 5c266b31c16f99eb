// Retention of one replica: deletes what the policy no longer keeps, by the function that `headwater prune` has. Level 0 goes
// only after the level-1 files that hold it have been proved to be there.
import { mapConcurrent } from "../../core/base/async.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { maxLevel } from "../../core/replica/layout.ts";
import { applyRetention, holdersOf } from "../../core/replica/prune.ts";
import { type RetentionPlan, planRetention } from "../../core/replica/retention.ts";
import type { LevelRepair } from "./level-repair.ts";
import type { ReplicaParts, LevelSchedule } from "./parts.ts";
import { promptMs } from "./put-times.ts";
import type { Waiting } from "./waiting.ts";

/** Level-1 files that are read at once before their level-0 files go. */
const proofsAtOnce = 2;

export interface RetentionOutcome {
  /** How long nothing can become old enough, ms; `undefined`: not before something new is put. */
  readonly waitMs: number | undefined;
  /** A level-1 file is damaged: nothing was deleted. */
  readonly isHeldUp: boolean;
}

export class LevelRetention {
  readonly #parts: ReplicaParts;
  readonly #policy: LevelSchedule["retention"];
  readonly #repair: LevelRepair;
  /** On the clock that nobody sets: when files were put before that, is not known. Our start, or earlier after a rest. */
  readonly #knownSinceMs: number;
  #deletedFiles = 0;

  constructor(parts: ReplicaParts, { retention }: LevelSchedule, repair: LevelRepair) {
    this.#parts = parts;
    const { endedRest } = parts;
    // What earlier engines of this process have put was put a little later than its header says.
    const slackMs = endedRest === undefined ? 0 : promptMs;
    this.#policy = { ...retention, graceMs: retention.graceMs + slackMs };
    this.#repair = repair;
    const nowMs = parts.clock.monotonicMs();
    this.#knownSinceMs = Math.min(nowMs, endedRest?.putTimes.sinceMs ?? nowMs);
  }

  /** Files deleted by this process. */
  get deletedFiles(): number {
    return this.#deletedFiles;
  }

  /** What a restore begun before our start has planned cannot be known from what we put: nothing goes so long, ms. */
  msUntilAllowed(): number {
    return Math.max(0, this.#knownSinceMs + this.#policy.graceMs - this.#parts.clock.monotonicMs());
  }

  /** Deletes what goes. `relist` brings what is known of the replica up to date; deleting is decided on that alone. */
  async run(relist: () => Promise<unknown>, waiting: Waiting): Promise<RetentionOutcome> {
    let plan = this.#plan();
    if (this.#forgotten(plan).gone.length > 0) {
      await relist();
      plan = this.#plan();
      const isDone = await this.#delete(this.#forgotten(plan), waiting);
      if (!isDone) return { waitMs: undefined, isHeldUp: true };
    }
    logLevelZero(this.#parts, plan);
    return { waitMs: this.#msUntilMoreGoes(plan), isHeldUp: false };
  }

  /** The part of the plan that no manifest has named for so long that nobody reads by it; the rest is left out from now on. */
  #forgotten(plan: RetentionPlan): RetentionPlan {
    const { manifest } = this.#parts.link;
    if (manifest === undefined) return plan;
    manifest.withdraw(plan.gone);
    return { ...plan, gone: plan.gone.filter((file) => this.#msUntilForgotten(file) === 0) };
  }

  #msUntilForgotten(file: ReplicaFile): number {
    return this.#parts.link.manifest?.msUntilForgotten(file, this.#policy.graceMs) ?? 0;
  }

  #plan(): RetentionPlan {
    const { clock, link } = this.#parts;
    return planRetention(this.#repair.usable(link.known.filesAsPut), this.#policy, clock.nowMs());
  }

  async #delete(plan: RetentionPlan, { signal }: Waiting): Promise<boolean> {
    const { link, codec, logger } = this.#parts;
    const { gone } = plan;
    if (gone.length === 0) return true;
    const proofs = await mapConcurrent(holdersOf(plan), proofsAtOnce, (file) =>
      this.#repair.prove(file, { signal }),
    );
    if (proofs.includes(false)) return false;
    await link.lease.hold({ signal });
    const isVerified = (file: ReplicaFile): boolean => this.#repair.isProved(file);
    const { upkeepStore: store, layout } = link;
    // First from what is known: whoever compares it with a listing must not miss what is on its way out. A failure forgets
    // all that is known.
    link.known.remove(gone);
    await applyRetention(plan, { store, layout, codec, isVerified, signal });
    this.#repair.noteDeleted(gone);
    this.#deletedFiles += gone.length;
    const sizeBytes = gone.reduce((sum, file) => sum + file.sizeBytes, 0);
    logger.log("debug", "retention.deleted", { files: gone.length, sizeBytes });
    return true;
  }

  /** `undefined`: nothing goes before something new is put. */
  #msUntilMoreGoes({ verdicts }: RetentionPlan): number | undefined {
    const { snapshotRetentionMs, graceMs } = this.#policy;
    const nowMs = this.#parts.clock.nowMs();
    const waits = verdicts.flatMap(({ file, goes, reason }) => {
      if (goes) return this.#msUntilForgotten(file) === 0 ? [] : [graceMs];
      if (reason === "in-recent-plan") return [graceMs];
      if (reason !== "young") return [];
      const ageMs = nowMs - file.timestampMs;
      const needMs = file.level === maxLevel ? Math.max(snapshotRetentionMs, graceMs) : 0;
      return [Math.max(0, needMs - ageMs)];
    });
    return waits.length === 0 ? undefined : Math.min(...waits);
  }
}

/** How level 0 stands, in Litestream's words. */
function logLevelZero({ logger }: ReplicaParts, { verdicts }: RetentionPlan): void {
  const counts = { eligible: 0, not_compacted: 0, too_recent: 0 };
  for (const { file, goes, reason } of verdicts) {
    if (file.level > 0) continue;
    if (goes) counts.eligible++;
    else if (reason === "young") counts.too_recent++;
    else counts.not_compacted++;
  }
  logger.log("debug", "retention.looked", counts);
}
