// What a replica holds: its LTX files, read from listings alone.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { Txid } from "../ltx/txid.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { type ReplicaLayout, maxLevel } from "./layout.ts";

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
export async function listLevel(
  store: ObjectStore,
  layout: ReplicaLayout,
  level: number,
  { signal }: Waiting,
): Promise<readonly ReplicaFile[]> {
  const files: ReplicaFile[] = [];
  const prefix = layout.levelPrefix(level);
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

/** All files of all levels, level by level. The levels are listed at the same time. */
export async function listReplica(
  store: ObjectStore,
  layout: ReplicaLayout,
  { signal }: Waiting,
): Promise<readonly ReplicaFile[]> {
  const failure = new AbortController();
  const both = signal === undefined ? failure.signal : AbortSignal.any([signal, failure.signal]);
  const lists = Array.from({ length: maxLevel + 1 }, async (_, level) => {
    try {
      return await listLevel(store, layout, level, { signal: both });
    } catch (error) {
      // Without this level the others are of no use: stop them, and wait until they have stopped.
      failure.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(lists);
  if (failure.signal.aborted) throw failure.signal.reason;
  return (await Promise.all(lists)).flat();
}
