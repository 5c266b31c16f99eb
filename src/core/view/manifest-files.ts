// The files of a replica as its manifest tells of them: no header has to be read, and each index with one read of its size.
import type { Waiting } from "../base/async.ts";
import { type Manifest, type ManifestFile, manifestFault } from "../replica/manifest.ts";
import { ManifestReader } from "../replica/manifest-reader.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ViewFile } from "./file-table.ts";
import type { ListViewFiles } from "./view-files.ts";

/**
 * Lists the files of the manifest that is there now, for a store that cannot list (`createManifestStore`). Throws
 * `replica/manifest` if there is none, or none that can be used.
 */
export function listManifestFiles(store: ObjectStore): ListViewFiles {
  const reader = new ManifestReader(store);
  return async (waiting: Waiting) => {
    const manifest = await reader.read(waiting);
    if (manifest === undefined) throw manifestFault(store.url, "is missing", { reason: "missing" });
    return toViewFiles(manifest);
  };
}

/** All files of a manifest. */
export function toViewFiles(manifest: Manifest): readonly ViewFile[] {
  return manifest.files.map((file) => toViewFile(manifest, file));
}

function toViewFile({ pageSize }: Manifest, file: ManifestFile): ViewFile {
  const { inside, ...listed } = file;
  if (inside === undefined) return listed;
  return { ...listed, inside: { ...inside, pageSize, timestampMs: file.timestampMs } };
}
