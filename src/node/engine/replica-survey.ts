// What a listing of a replica shows: its files, and the newest of them with its header.
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { planRestore } from "../../core/replica/plan.ts";

/** The newest file of a replica and its header. */
export interface ReplicaHead {
  readonly txid: Txid;
  readonly file: ReplicaFile;
  readonly header: LtxHeader;
  /** The level-0 file of exactly that TXID, which every Litestream and we take the position from. */
  readonly single: ReplicaFile | undefined;
}

export interface ReplicaSurvey {
  readonly files: readonly ReplicaFile[];
  readonly head: ReplicaHead | undefined;
}

/** True when the head can be restored. */
export function hasPlan({ files, head }: ReplicaSurvey): boolean {
  if (head === undefined) return false;
  try {
    planRestore(files, { kind: "txid", txid: head.txid });
    return true;
  } catch (error) {
    if (hasCode(error, "replica/empty", "replica/unreachable-txid", "replica/gap")) return false;
    throw error;
  }
}

/** One history has one page size. Throws `capture/page-size` for a database whose pages have another than its history. */
export function checkPageSize(
  { path, url }: { readonly path: string; readonly url: string },
  { was, is }: { readonly was: number; readonly is: number },
): void {
  if (was === is) return;
  throw new HeadwaterError(
    "capture/page-size",
    `${path} has pages of ${is} bytes, but its replica ${url} holds pages of ${was}. One replica has one ` +
      `page size: start a new path, for example: headwater replicate ${path} ${url}-${is}`,
    { data: { path, was, is } },
  );
}
