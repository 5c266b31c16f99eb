// The files of a replica as its manifest tells of them: no header has to be read, and each index with one read of its size.
import type { Waiting } from "../base/async.ts";
import { collectBytes } from "../base/bytes.ts";
import { type Manifest, type ManifestFile, missingManifest } from "../replica/manifest.ts";
import { ManifestReader } from "../replica/manifest-reader.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ViewFile } from "./file-table.ts";
import type { ViewSource } from "./view-files.ts";

/** For a store that cannot list (`createManifestStore`). */
export class ManifestFiles implements ViewSource {
  readonly #store: ObjectStore;
  readonly #reader: ManifestReader;
  /** Asked for with the hot pages, and listed from once. */
  #first: Promise<Manifest> | undefined;

  constructor(store: ObjectStore) {
    this.#store = store;
    this.#reader = new ManifestReader(store);
  }

  /** Throws `replica/manifest` if there is no manifest, or none that can be used. */
  async list(waiting: Waiting): Promise<readonly ViewFile[]> {
    const first = this.#first;
    this.#first = undefined;
    return toViewFiles(await (first ?? this.#read(waiting)));
  }

  /** Called before the first listing, which it shares its request with. */
  async hotBytes(waiting: Waiting): Promise<Uint8Array | undefined> {
    this.#first = this.#read(waiting);
    return readHotBytes(this.#store, await this.#first, waiting);
  }

  nextFiles(): undefined {
    return undefined;
  }

  async #read(waiting: Waiting): Promise<Manifest> {
    const manifest = await this.#reader.read(waiting);
    if (manifest !== undefined) return manifest;
    throw missingManifest(this.#store.url);
  }
}

/** The object with the hot pages; `undefined` if there is none, or another than the manifest names. */
async function readHotBytes(
  store: ObjectStore,
  { hot }: Manifest,
  { signal }: Waiting,
): Promise<Uint8Array | undefined> {
  if (hot === undefined) return undefined;
  const content = await store.get(hot.key, { offset: 0, length: hot.sizeBytes, signal });
  return content && collectBytes(content.body);
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
