// What a replica holds: its LTX files, read from listings alone.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { Txid } from "../ltx/txid.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaLayout } from "./layout.ts";

/** One LTX file of a replica as its listing shows it; nothing of it has been read. */
export interface ReplicaFile {
  readonly level: number;
  readonly minTxid: Txid;
  readonly maxTxid: Txid;
  readonly sizeBytes: number;
  /** The time in the file's header where `isExactTime`, else when the store received it. */
  readonly timestampMs: number;
  readonly isExactTime: boolean;
  /** Key in the store. Messages name a file by it. */
  readonly key: string;
  readonly etag: string;
}

/**
 * The files of one level, by TXID. Names that are no LTX files are skipped. Throws `store/failed` if the listing
 * is not in order: such a store may also have left something out.
 */
export function listLevel(
  store: ObjectStore,
  layout: ReplicaLayout,
  level: number,
  waiting: Waiting,
): Promise<readonly ReplicaFile[]> {
  return listBelow(store, layout, layout.levelPrefix(level), waiting);
}

/**
 * All files of all levels, level by level, as one listing: most replicas have fewer files than a store lists at once. A
 * file that moves up a level meanwhile is seen below or above, or in both, because it is put there before it goes here.
 */
export function listReplica(
  store: ObjectStore,
  layout: ReplicaLayout,
  waiting: Waiting,
): Promise<readonly ReplicaFile[]> {
  return listBelow(store, layout, layout.prefix, waiting);
}

/**
 * The file of level 0 that holds one TXID alone, asked for by its name, which costs less than a tenth of a listing. `undefined`:
 * there is none, or not yet, or it was merged.
 */
export async function findSingle(
  store: ObjectStore,
  layout: ReplicaLayout,
  txid: Txid,
  waiting: Waiting,
): Promise<ReplicaFile | undefined> {
  const name = { level: 0, minTxid: txid, maxTxid: txid };
  const info = await store.head(layout.key(name), waiting);
  return info && { ...name, ...info };
}

async function listBelow(
  store: ObjectStore,
  layout: ReplicaLayout,
  prefix: string,
  { signal }: Waiting,
): Promise<readonly ReplicaFile[]> {
  const files: ReplicaFile[] = [];
  let previousKey = "";
  for await (const object of store.list({ prefix, signal })) {
    if (!object.key.startsWith(prefix) || object.key <= previousKey) {
      throw new HeadwaterError(
        "store/failed",
        `${store.url} lists ${object.key} after ${previousKey} under ${prefix}, which is out of order. ` +
          "The store does not list keys as it must; use another one.",
        { data: { key: object.key, previousKey, prefix } },
      );
    }
    previousKey = object.key;
    const name = layout.parse(object.key);
    if (name === undefined) continue;
    const { sizeBytes, timestampMs, isExactTime, key, etag } = object;
    files.push({ ...name, sizeBytes, timestampMs, isExactTime, key, etag });
  }
  return files;
}
