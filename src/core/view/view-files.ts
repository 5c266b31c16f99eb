// The files that views are made of: as the store lists them, or as its manifest does where the store cannot list.
import type { Waiting } from "../base/async.ts";
import { type ReplicaFile, listReplica } from "../replica/catalog.ts";
import { type ReplicaLayout, isListedByManifest } from "../replica/layout.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { checksumFileKey, listChecksumFiles } from "./checksum-file.ts";
import type { ViewFile } from "./file-table.ts";
import { listManifestFiles } from "./manifest-files.ts";

/** The files of a replica: its own listing, or what a manifest says. */
export type ListViewFiles = (options: Waiting) => Promise<readonly ViewFile[]>;

/** How the files in a store are found. */
export function listingOf(store: ObjectStore, layout: ReplicaLayout): ListViewFiles {
  if (isListedByManifest(store.url)) return listManifestFiles(store);
  return (waiting) => listStoredFiles(store, layout, waiting);
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
