// The files that views are made of: as the store lists them, or as its manifest does where the store cannot list.
import type { Waiting } from "../base/async.ts";
import { type ReplicaFile, listReplica } from "../replica/catalog.ts";
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
}

/** How the files in a store are found; `list` in place of its own listing. */
export function sourceOf(
  store: ObjectStore,
  layout: ReplicaLayout,
  list: ListViewFiles | undefined,
): ViewSource {
  if (list === undefined && isListedByManifest(store.url)) return new ManifestFiles(store);
  return {
    list: list ?? ((waiting) => listStoredFiles(store, layout, waiting)),
    hotBytes: () => Promise.resolve(undefined),
  };
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
