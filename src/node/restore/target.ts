// From what a caller asks for to the files that give it.
import type { Waiting } from "../../core/base/async.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { listHistory } from "../../core/replica/history.ts";
import { type RestoreTarget, planRestore } from "../../core/replica/plan.ts";
import { withHeaderTimes } from "../../core/replica/timeline.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { HeadwaterError } from "../../core/base/errors.ts";

/** A restore point; neither = the newest. */
export interface RestorePoint {
  /** Exactly this TXID, the end of some file. */
  readonly txid?: Txid | undefined;
  /** The newest restore point strictly before this time. */
  readonly timestamp?: Date | undefined;
}

/** What to restore, and where it lies in the history. */
export interface RestorePlan {
  /** In the order in which they are applied. */
  readonly files: readonly ReplicaFile[];
  /** Only for a restore to a time. */
  readonly chosen: ChosenPoint | undefined;
}

/** The restore point that a time led to. */
export interface ChosenPoint {
  /** When it was reached. */
  readonly timestampMs: number;
  /** The restore point after it; `undefined` if it is the newest. */
  readonly next: { readonly txid: Txid; readonly timestampMs: number } | undefined;
}

/** Lists the replica and plans. Throws `usage/invalid` if both are given, and what `planRestore` throws. */
export async function planFromStore(
  store: ObjectStore,
  { txid, timestamp }: RestorePoint,
  { signal }: Waiting,
): Promise<RestorePlan> {
  const beforeMs = timestamp?.getTime();
  if (txid !== undefined && beforeMs !== undefined) {
    throw new HeadwaterError("usage/invalid", "Give a TXID or a timestamp to restore, not both.");
  }
  if (Number.isNaN(beforeMs)) {
    throw new HeadwaterError("usage/invalid", "The timestamp to restore is not a valid date.");
  }
  const files = await listReplica(store, layoutForUrl(store.url), { signal });
  const plan = (target: RestoreTarget): RestorePlan => ({
    files: planRestore(files, target),
    chosen: undefined,
  });
  if (txid !== undefined) return plan({ kind: "txid", txid });
  if (beforeMs === undefined) return plan({ kind: "latest" });
  const timed = await withHeaderTimes(store, files, { beforeMs, signal });
  const planned = planRestore(timed, { kind: "time", beforeMs });
  return { files: planned, chosen: pointOf(timed, planned) };
}

/** `withHeaderTimes` has read the header of everything newer than the point, so what comes next has its true time. */
function pointOf(
  files: readonly ReplicaFile[],
  plan: readonly ReplicaFile[],
): ChosenPoint | undefined {
  const { points } = listHistory(files);
  const at = points.findIndex(({ txid }) => txid === plan.at(-1)?.maxTxid);
  const [point, next] = points.slice(at, at + 2);
  return point && { timestampMs: point.timestampMs, next };
}
