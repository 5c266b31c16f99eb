// The files that views are made of: as the store lists them, or as its manifest does where the store cannot list.
import type { Waiting } from "../base/async.ts";
import { type Txid, nextTxid } from "../ltx/txid.ts";
import { type ReplicaFile, findSingle, listReplica } from "../replica/catalog.ts";
import { type ReplicaLayout, isListedByManifest } from "../replica/layout.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { checksumFileKey, listChecksumFiles } from "./checksum-file.ts";
import type { ViewFile } from "./file-table.ts";
import { ManifestFiles } from "./manifest-files.ts";

/** The files of a replica: its own listing, or what a manifest says. */
export type ListViewFiles = (options: Waiting) => Promise<readonly ViewFile[]>;

/** Where views learn of files, and get the pages that each of them needs first. */
export interface ViewSource {
  readonly list: ListViewFiles;
  /** Called once, before the first listing. What it throws costs requests, nothing else. */
  hotBytes(waiting: Waiting): Promise<Uint8Array | undefined>;
  /**
   * The level-0 files after a TXID, by their names alone, which costs less than a listing and does not tell all. `undefined`:
   * listing costs no more.
   */
  nextFiles(txid: Txid, waiting: Waiting): Promise<readonly ViewFile[]> | undefined;
}

/** Files that are asked for by name in one go. */
const maxNextFiles = 8;

/** How the files in a store are found; `list` in place of its own listing. */
export function sourceOf(
  store: ObjectStore,
  layout: ReplicaLayout,
  list: ListViewFiles | undefined,
): ViewSource {
  if (list === undefined && isListedByManifest(store.url)) return new ManifestFiles(store);
  if (list !== undefined) return { list, hotBytes: noHotBytes, nextFiles: () => undefined };
  return {
    list: (waiting) => listStoredFiles(store, layout, waiting),
    hotBytes: noHotBytes,
    nextFiles: (txid, waiting) => findNextFiles(store, layout, txid, waiting),
  };
}

function noHotBytes(): Promise<undefined> {
  return Promise.resolve(undefined);
}

async function findNextFiles(
  store: ObjectStore,
  layout: ReplicaLayout,
  after: Txid,
  waiting: Waiting,
): Promise<readonly ViewFile[]> {
  const files: ViewFile[] = [];
  for (let txid = after; files.length < maxNextFiles;) {
    txid = nextTxid(txid);
    const file = await findSingle(store, layout, txid, waiting);
    if (file === undefined) break;
    files.push(file);
  }
  return files;
}

/** Lists the store: its levels, and which files have checksum files. */
async function listStoredFiles(
  store: ObjectStore,
  layout: ReplicaLayout,
  waiting: Waiting,
): Promise<readonly ViewFile[]> {
  const [files, checksumKeys] = await Promise.all([
    listReplica(store, layout, waiting),
    listChecksumFiles(store, waiting),
  ]);
  return withChecksumKeys(files, checksumKeys);
}

/** Files with the keys of those checksum files that are there. */
export function withChecksumKeys(
  files: readonly ReplicaFile[],
  checksumKeys: ReadonlySet<string>,
): readonly ViewFile[] {
  return files.map((file) => {
    const checksumKey = checksumFileKey(file);
    return checksumKeys.has(checksumKey) ? { ...file, checksumKey } : file;
  });
}
