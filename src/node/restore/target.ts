// From what a caller asks for to the files that give it.
import type { Waiting } from "../../core/base/async.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { planRestore } from "../../core/replica/plan.ts";
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

/** Lists the replica and plans. Throws `usage/invalid` if both are given, and what `planRestore` throws. */
export async function planFromStore(
  store: ObjectStore,
  { txid, timestamp }: RestorePoint,
  { signal }: Waiting,
): Promise<readonly ReplicaFile[]> {
  const beforeMs = timestamp?.getTime();
  if (txid !== undefined && beforeMs !== undefined) {
    throw new HeadwaterError("usage/invalid", "Give a TXID or a timestamp to restore, not both.");
  }
  if (Number.isNaN(beforeMs)) {
    throw new HeadwaterError("usage/invalid", "The timestamp to restore is not a valid date.");
  }
  const files = await listReplica(store, layoutForUrl(store.url), { signal });
  if (txid !== undefined) return planRestore(files, { kind: "txid", txid });
  if (beforeMs === undefined) return planRestore(files, { kind: "latest" });
  const timed = await withHeaderTimes(store, files, { beforeMs, signal });
  return planRestore(timed, { kind: "time", beforeMs });
}
