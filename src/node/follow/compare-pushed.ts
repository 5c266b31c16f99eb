// An output that came to its TXID by push may be ahead of the store, or of a history that the store never gets: what the
// store says to that.
import type { Waiting } from "../../core/base/async.ts";
import { toHex64 } from "../../core/base/bytes.ts";
import { decodeTrailer, ltxTrailerSizeBytes } from "../../core/ltx/trailer.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { readRange } from "../../core/view/read-range.ts";
import type { Position } from "./state-file.ts";

/**
 * `same`: the file that was pushed is in the store. `other`: the store has another one of that TXID, or a newest file that has a
 * smaller TXID and was captured later. `open`: neither shows.
 */
export async function comparePushed(
  store: ObjectStore,
  files: readonly ReplicaFile[],
  { txid, timestampMs, file }: Pick<Position, "txid" | "timestampMs" | "file">,
  waiting: Waiting,
): Promise<"same" | "other" | "open"> {
  const same = files.find(({ minTxid, maxTxid }) => minTxid === txid && maxTxid === txid);
  if (same !== undefined) {
    const offset = same.sizeBytes - ltxTrailerSizeBytes;
    const tail = await readRange(store, same, { offset, length: ltxTrailerSizeBytes, ...waiting });
    return toHex64(decodeTrailer(tail).fileChecksum) === file.etag ? "same" : "other";
  }
  const newest = files.reduce<ReplicaFile | undefined>(
    (best, one) => (best === undefined || one.maxTxid > best.maxTxid ? one : best),
    undefined,
  );
  if (newest === undefined || newest.maxTxid >= txid) return "open";
  // Where a listing tells when the store received it, that says nothing.
  const known = newest.isExactTime ? newest : await store.head(newest.key, waiting);
  return known?.isExactTime === true && known.timestampMs > timestampMs ? "other" : "open";
}
