// Whether a copy that was found is a state of the replica as it is now: it may have been begun anew under the same URL.
import type { Waiting } from "../../core/base/async.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import { readFileHeader } from "../../core/replica/compaction-input.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";

/** True if a file of the replica that ends at `txid` proves this database checksum. Files of Litestream's prove none. */
export async function isOfThisReplica(
  store: ObjectStore,
  txid: Txid,
  { databaseChecksum, signal }: Waiting & { readonly databaseChecksum: bigint },
): Promise<boolean> {
  const files = await listReplica(store, layoutForUrl(store.url), { signal });
  const last = files.find(({ maxTxid }) => maxTxid === txid);
  if (last === undefined) return false;
  const { proof } = await readFileHeader({ store, signal }, last);
  return proof?.after === databaseChecksum;
}
