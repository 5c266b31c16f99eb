// From what a caller asks for to the files that give it.
import type { Waiting } from "../../core/base/async.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl, maxLevel } from "../../core/replica/layout.ts";
import {
  type GenerationFile,
  type GenerationPlan,
  type GenerationTarget,
  listGenerations,
  planGenerations,
  prefersGenerations,
} from "../../core/replica/generations.ts";
import { listHistory } from "../../core/replica/history.ts";
import { planRestore } from "../../core/replica/plan.ts";
import { withHeaderTimes } from "../../core/replica/timeline.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { HeadwaterError } from "../../core/base/errors.ts";

/** A restore point; nothing = the newest. */
export interface RestorePoint {
  /** Exactly this TXID, the end of some file. */
  readonly txid?: Txid | undefined;
  /** The newest restore point strictly before this time; of a Litestream 0.3 backup, up to and including it. */
  readonly timestamp?: Date | undefined;
  /** The newest state of this generation of a Litestream 0.3 backup, 16 hexadecimal digits. */
  readonly generation?: string | undefined;
  /** With a generation: its state at the end of this WAL index. */
  readonly index?: number | undefined;
}

/** What to restore, and where it lies in the history. */
export type RestorePlan = LtxRestorePlan | GenerationRestorePlan;

export interface LtxRestorePlan {
  readonly kind: "ltx";
  /** In the order in which they are applied. */
  readonly files: readonly ReplicaFile[];
  /** Only for a restore to a time. */
  readonly chosen: ChosenPoint | undefined;
}

export interface GenerationRestorePlan {
  readonly kind: "generation";
  readonly plan: GenerationPlan;
  /** In the order in which they are applied. */
  readonly files: readonly GenerationFile[];
  /** Only for a restore to a time. */
  readonly chosen: ChosenPoint | undefined;
}

/** The restore point that a time led to. */
export interface ChosenPoint {
  /** When it was reached. */
  readonly timestampMs: number;
  /** The restore point after it; `undefined` if it is the newest. In a Litestream 0.3 backup it has no TXID. */
  readonly next: { readonly txid: Txid | undefined; readonly timestampMs: number } | undefined;
}

/**
 * Lists the replica and plans; a Litestream 0.3 backup is looked for unless a TXID is asked for. Throws `usage/invalid`
 * for points that exclude each other, and what `planRestore` and `planGenerations` throw.
 */
export async function planFromStore(
  store: ObjectStore,
  point: RestorePoint,
  { signal }: Waiting,
): Promise<RestorePlan> {
  checkPoint(point);
  const { txid, timestamp, generation, index } = point;
  const beforeMs = timestamp?.getTime();
  const old = txid === undefined ? await listGenerations(store, { signal }) : [];
  if (generation !== undefined) return fromGenerations(old, { kind: "index", generation, index });
  const files = await listReplica(store, layoutForUrl(store.url), { signal });
  if (txid !== undefined) return fromLtx(planRestore(files, { kind: "txid", txid }));
  if (beforeMs === undefined) {
    return prefersGenerations(files, old, undefined)
      ? fromGenerations(old, { kind: "latest" })
      : fromLtx(planRestore(files, { kind: "latest" }));
  }
  const images = files.filter(({ level }) => level === maxLevel);
  const timedImages =
    old.length === 0 ? files : await withHeaderTimes(store, images, { beforeMs, signal });
  if (files.length === 0 || prefersGenerations(timedImages, old, beforeMs)) {
    if (old.length > 0) return fromGenerations(old, { kind: "time", atMs: beforeMs });
  }
  const timed = await withHeaderTimes(store, files, { beforeMs, signal });
  const planned = planRestore(timed, { kind: "time", beforeMs });
  return fromLtx(planned, chosenFrom(timed, planned));
}

function checkPoint({ txid, timestamp, generation, index }: RestorePoint): void {
  if ([txid, timestamp, generation].filter((one) => one !== undefined).length > 1) {
    throw new HeadwaterError(
      "usage/invalid",
      "Give a TXID, a timestamp or a generation to restore: one of them.",
    );
  }
  if (index !== undefined && generation === undefined) {
    throw new HeadwaterError("usage/invalid", "An index to restore needs its generation.");
  }
  if (Number.isNaN(timestamp?.getTime())) {
    throw new HeadwaterError("usage/invalid", "The timestamp to restore is not a valid date.");
  }
}

function fromLtx(files: readonly ReplicaFile[], chosen?: ChosenPoint): LtxRestorePlan {
  return { kind: "ltx", files, chosen };
}

function fromGenerations(
  files: readonly GenerationFile[],
  target: GenerationTarget,
): GenerationRestorePlan {
  const plan = planGenerations(files, target);
  const { snapshot, segments, next } = plan;
  const chosen: ChosenPoint = {
    timestampMs: Math.max(snapshot.timestampMs, segments.at(-1)?.timestampMs ?? 0),
    next: next && { txid: undefined, timestampMs: next.timestampMs },
  };
  return {
    kind: "generation",
    plan,
    files: [snapshot, ...segments],
    chosen: target.kind === "time" ? chosen : undefined,
  };
}

/** `withHeaderTimes` has read the header of everything newer than the point, so what comes next has its true time. */
function chosenFrom(
  files: readonly ReplicaFile[],
  plan: readonly ReplicaFile[],
): ChosenPoint | undefined {
  const { points } = listHistory(files);
  const at = points.findIndex(({ txid }) => txid === plan.at(-1)?.maxTxid);
  const [point, next] = points.slice(at, at + 2);
  return (
    point && {
      timestampMs: point.timestampMs,
      next: next && { txid: next.txid, timestampMs: next.timestampMs },
    }
  );
}
