// A replica in a store that cannot list, such as one behind HTTP: `manifest.json` is its listing.
//
// Keys are listed as in every replica but those of S3, whichever layout the writer's store had; the manifest says under which
// key each object really lies. Versions in it are those of the writer's store, which the server behind HTTP may not know:
// the version that it gives first for a listed one is held to from then on.
import { streamOf } from "../base/bytes.ts";
import type { Waiting } from "../base/async.ts";
import { throwIfAborted } from "../base/async.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import type { BlockingContent, BlockingReads, GetNowOptions } from "../store/blocking-reads.ts";
import type {
  GetOptions,
  ListOptions,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
} from "../store/object-store.ts";
import { type ReplicaLayout, litestreamLayout, litestreamS3Layout } from "./layout.ts";
import { type Manifest, type ManifestFile, manifestKey, missingManifest } from "./manifest.ts";
import { ManifestReader, readManifestBytes } from "./manifest-reader.ts";
import { parseManifest } from "./parse-manifest.ts";

/** Files that are remembered beyond those of the manifest: views read on in what was compacted. */
const maxForgottenFiles = 4096;

/** An object that a manifest has told of. */
interface ToldObject {
  readonly file: ManifestFile;
  /** The server's version of it, once it has given one. */
  version: string | undefined;
}

/**
 * `store`, with `list` answered from the manifest in it: the LTX files alone. Each list asks for the manifest, which is sent
 * only if it has changed. Throws `replica/manifest` if there is none, or none that can be used.
 */
export function createManifestStore(store: ObjectStore): ObjectStore {
  return new ManifestStore(store);
}

/** The same, and beside it what it tells of read by `reads`, which are of the same store. */
export function createBlockingManifestStore(
  store: ObjectStore,
  reads: BlockingReads,
): { readonly store: ObjectStore; readonly reads: BlockingReads } {
  const manifests = new ManifestStore(store);
  return {
    store: manifests,
    reads: { getNow: (key, options) => manifests.getNow(reads, key, options) },
  };
}

class ManifestStore implements ObjectStore {
  readonly url: string;
  readonly #store: ObjectStore;
  readonly #reader: ManifestReader;
  #manifest: Manifest | undefined;
  /** By the key it has here, and by the one it has in the store. */
  readonly #told = new Map<string, ToldObject>();
  /** Of the store. */
  #layout: ReplicaLayout = litestreamLayout;

  constructor(store: ObjectStore) {
    this.url = store.url;
    this.#store = store;
    this.#reader = new ManifestReader(store);
  }

  features(options: Waiting): ReturnType<ObjectStore["features"]> {
    return this.#store.features(options);
  }

  put(...args: Parameters<ObjectStore["put"]>): ReturnType<ObjectStore["put"]> {
    return this.#store.put(...args);
  }

  delete(...args: Parameters<ObjectStore["delete"]>): Promise<void> {
    return this.#store.delete(...args);
  }

  copy(...args: Parameters<ObjectStore["copy"]>): ReturnType<ObjectStore["copy"]> {
    return this.#store.copy(...args);
  }

  async *list({ prefix, after = "", signal }: ListOptions): AsyncGenerator<ObjectInfo> {
    const { files } = await this.#newest({ signal });
    const infos = files.map((file) => infoOf(listedKey(file), file));
    for (const info of infos.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
      throwIfAborted({ signal });
      if (info.key.startsWith(prefix) && info.key > after) yield info;
    }
  }

  async head(key: string, waiting: Waiting): Promise<ObjectInfo | undefined> {
    // A file that is not known yet is looked for in the manifest: a HEAD would cost as much and not tell its version there.
    if (!this.#told.has(key) && litestreamLayout.parse(key) !== undefined) {
      await this.#newest(waiting);
      if (!this.#told.has(key)) return undefined;
    }
    const told = this.#told.get(key);
    if (told === undefined) return this.#store.head(key, waiting);
    const { file } = told;
    const info = await this.#unlessDenied(key, () => this.#store.head(file.key, waiting), waiting);
    if (info === undefined) return undefined;
    bind(told, info, key);
    return infoOf(key, file);
  }

  async get(key: string, options: GetOptions): Promise<ObjectContent | undefined> {
    if (key === manifestKey) return this.#getManifest(options);
    const told = this.#told.get(key);
    if (told === undefined) {
      const realKey = this.#realKey(key);
      return this.#unlessDenied(key, () => this.#store.get(realKey, options), options);
    }
    const { file, version: etag } = told;
    if (options.etag !== undefined && options.etag !== file.etag) throw changed(key);
    const get = (): ReturnType<ObjectStore["get"]> =>
      this.#store.get(file.key, { ...options, etag });
    const content = await this.#unlessDenied(key, get, options);
    if (content === undefined) return undefined;
    try {
      bind(told, content.info, key);
    } catch (error) {
      for await (const _ of content.body) break;
      throw error;
    }
    return { info: infoOf(key, file), body: content.body };
  }

  /** `get`, at once. What is denied counts as gone: who waits then finds out which it is. */
  getNow(reads: BlockingReads, key: string, options: GetNowOptions): BlockingContent | undefined {
    const told = this.#told.get(key);
    const etag = told === undefined ? options.etag : told.version;
    if (told !== undefined && options.etag !== undefined && options.etag !== told.file.etag) {
      throw changed(key);
    }
    const realKey = told?.file.key ?? this.#realKey(key);
    let content: BlockingContent | undefined;
    try {
      content = reads.getNow(realKey, { ...options, etag });
    } catch (error) {
      if (!hasCode(error, "store/denied")) throw error;
    }
    if (content === undefined || told === undefined) return content;
    const { sizeBytes } = told.file;
    bind(told, { etag: content.etag, sizeBytes: content.sizeBytes ?? sizeBytes }, key);
    return { ...content, etag: told.file.etag, sizeBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  /** Reads along: who asks for the manifest goes on to ask for what is in it. */
  async #getManifest(options: GetOptions): Promise<ObjectContent | undefined> {
    const content = await this.#store.get(manifestKey, options);
    const isWhole = options.offset === undefined && options.length === undefined;
    const isSame = content !== undefined && content.info.etag === options.unlessEtag;
    if (content === undefined || !isWhole || isSame) return content;
    const bytes = await readManifestBytes(content, this.url);
    this.#note(parseManifest(bytes, this.url));
    return { info: { ...content.info, sizeBytes: bytes.length }, body: streamOf(bytes) };
  }

  async #newest(waiting: Waiting): Promise<Manifest> {
    const manifest = await this.#reader.read(waiting);
    if (manifest === undefined) throw missingManifest(this.url);
    this.#note(manifest);
    return manifest;
  }

  #note(manifest: Manifest): void {
    if (manifest === this.#manifest) return;
    this.#manifest = manifest;
    const { files } = manifest;
    const isOfS3 = files.some((file) => litestreamS3Layout.parse(file.key) !== undefined);
    this.#layout = isOfS3 ? litestreamS3Layout : litestreamLayout;
    for (const file of files) {
      for (const key of new Set([listedKey(file), file.key])) {
        const told = this.#told.get(key);
        // The newest last, so that the oldest are forgotten first.
        this.#told.delete(key);
        const isSame = told?.file.etag === file.etag && told.file.sizeBytes === file.sizeBytes;
        this.#told.set(key, isSame ? told : { file, version: undefined });
      }
    }
    for (const key of this.#told.keys()) {
      if (this.#told.size <= 2 * (files.length + maxForgottenFiles)) break;
      this.#told.delete(key);
    }
  }

  /** Where a file lies that no manifest has told of. */
  #realKey(key: string): string {
    const name = litestreamLayout.parse(key);
    return name === undefined ? key : this.#layout.key(name);
  }

  /**
   * A bucket whose listing is not public answers 403 for what is not there, too: so it is taken, unless the manifest of this
   * moment says that the object is there.
   */
  async #unlessDenied<T>(
    key: string,
    ask: () => Promise<T | undefined>,
    waiting: Waiting,
  ): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (!hasCode(error, "store/denied") || this.#manifest === undefined) throw error;
      const before = this.#told.get(key)?.file;
      const { files } = await this.#newest(waiting);
      if (before !== undefined && files.some((file) => file.key === before.key)) throw error;
      return undefined;
    }
  }
}

/** The key of a file in a listing. */
function listedKey(file: ManifestFile): string {
  return litestreamLayout.key(file);
}

function infoOf(key: string, file: ManifestFile): ObjectInfo {
  const { sizeBytes, etag, timestampMs, isExactTime } = file;
  return { key, sizeBytes, etag, timestampMs, isExactTime };
}

/** Throws `store/changed` if the server has another object than the one told of. */
function bind(
  told: ToldObject,
  { etag, sizeBytes }: Pick<ObjectInfo, "etag" | "sizeBytes">,
  key: string,
): void {
  if (sizeBytes !== told.file.sizeBytes) throw changed(key);
  if (etag === "") return;
  told.version ??= etag;
  if (told.version !== etag) throw changed(key);
}

function changed(key: string): HeadwaterError {
  return new HeadwaterError(
    "store/changed",
    `${key} is not the object that the manifest tells of: it was replaced, or the manifest is older than the replica.`,
    { data: { key } },
  );
}
