// Which files take a local copy to a TXID: those after its own, or a full image and what follows it.
import type { Waiting } from "../../core/base/async.ts";
import { type Txid, toTxid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, findSingle, listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { planAdvance, planRestore } from "../../core/replica/plan.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { type NewestState, hasImageAfter, newestImageTxid } from "../follow/new-files.ts";
import type { AppliedFile, Position } from "../follow/state-file.ts";

/** Up to so many TXIDs are asked for by the names that their files have while nothing was merged. */
const namedLimit = 2n;

export type CopyPlan =
  /** They continue the copy, in order, up to the TXID. `isSame`: the newest file in the copy is still there. */
  | { readonly kind: "files"; readonly files: readonly ReplicaFile[]; readonly isSame: boolean }
  | { readonly kind: "image"; readonly state: NewestState; readonly reason: ImageReason };

export type ImageReason = "new" | "gap" | "history-changed" | "new-image";

/** What is known of the copy that is to be continued. */
export type CopyPoint = Pick<Position, "txid" | "file" | "imageTxid" | "isProved">;

/**
 * Plans the way from `at`, or from nothing, to `target`. Costs one HEAD for the next file of a proved copy, else a listing.
 * Throws `replica/unreachable-txid` and what else `planRestore` throws where no files make that TXID now.
 */
export async function planCopy(
  store: ObjectStore,
  { at, target, signal }: Waiting & { readonly at: CopyPoint | undefined; readonly target: Txid },
): Promise<CopyPlan> {
  // Where nothing is proved, a listing also shows the images that hold what Litestream has lost between.
  if (at?.isProved === true && at.txid < target && target - at.txid <= namedLimit) {
    const files = await namedFiles(store, at.txid, target, { signal });
    if (files !== undefined) return { kind: "files", files, isSame: false };
  }
  const listed = await listReplica(store, layoutForUrl(store.url), { signal });
  const files = listed.filter(({ maxTxid }) => maxTxid <= target);
  if (at === undefined) return planImage(files, target, "new");
  const found = files.find((file) => objectUrl(store, file) === at.file.key);
  const isReplaced = found !== undefined && found.etag !== at.file.etag;
  if (isReplaced || at.txid > target) return planImage(files, target, "history-changed");
  if (!at.isProved && hasImageAfter(files, at.imageTxid)) {
    return planImage(files, target, "new-image");
  }
  const isSame = found !== undefined;
  if (at.txid === target) return { kind: "files", files: [], isSame };
  const next = planAdvance(files, at.txid);
  if (next.at(-1)?.maxTxid !== target) return planImage(files, target, "gap");
  return { kind: "files", files: next, isSame };
}

/** What a copy notes of the newest file in it: a copy of another replica is recognized as such. */
export function appliedFile(store: ObjectStore, file: AppliedFile): AppliedFile {
  return { key: objectUrl(store, file), etag: file.etag };
}

function objectUrl({ url }: ObjectStore, { key }: AppliedFile): string {
  return `${url.replace(/\/$/u, "")}/${key}`;
}

function planImage(files: readonly ReplicaFile[], target: Txid, reason: ImageReason): CopyPlan {
  const plan = planRestore(files, { kind: "txid", txid: target });
  const imageTxid = newestImageTxid(files);
  return { kind: "image", state: { files: plan, imageTxid, listed: files }, reason };
}

/** The files of level 0 after `from`, if each of these TXIDs has one. */
async function namedFiles(
  store: ObjectStore,
  from: Txid,
  target: Txid,
  { signal }: Waiting,
): Promise<readonly ReplicaFile[] | undefined> {
  const layout = layoutForUrl(store.url);
  const txids = Array.from({ length: Number(target - from) }, (_, i) =>
    toTxid(from + BigInt(i) + 1n),
  );
  const files = await Promise.all(txids.map((txid) => findSingle(store, layout, txid, { signal })));
  const found = files.filter((file) => file !== undefined);
  return found.length === files.length ? found : undefined;
}
