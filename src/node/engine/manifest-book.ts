// What the manifest of a replica has to say beside the names of the files, kept up with every put; and what it says no
// longer, because it is about to be deleted: readers have the old manifest for some time yet.
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { FileFacts } from "../../core/replica/file-facts.ts";
import type { Manifest, ManifestHot } from "../../core/replica/manifest.ts";
import { makeManifest } from "../../core/replica/make-manifest.ts";
import { checksumFileKey } from "../../core/view/checksum-file.ts";

interface KnownFacts {
  readonly etag: string;
  readonly facts: FileFacts;
}

/** No manifest has been put without the file yet. */
const notYet = Number.POSITIVE_INFINITY;

export class ManifestBook {
  readonly #factsByKey = new Map<string, KnownFacts>();
  /** Files that are left out, by key: since when there is a manifest without them, on the clock that nobody sets. */
  readonly #goneSinceMs = new Map<string, number>();
  #checksumKeys: ReadonlySet<string> = new Set();
  #hot: ManifestHot | undefined;
  #isGivenUp = false;
  #onChange: () => void = () => undefined;

  /** Who writes the manifest; told of every change. */
  set onChange(listener: () => void) {
    this.#onChange = listener;
  }

  get hot(): ManifestHot | undefined {
    return this.#hot;
  }

  set hot(hot: ManifestHot | undefined) {
    this.#hot = hot;
    this.#onChange();
  }

  /** The keys of the checksum files that are there. */
  set checksumKeys(keys: ReadonlySet<string>) {
    this.#checksumKeys = keys;
    this.#onChange();
  }

  /** A file has been put; `facts`: what is inside it, if that has been seen. */
  notePut(file: Pick<ReplicaFile, "key" | "etag">, facts: FileFacts | undefined): void {
    if (facts !== undefined) this.noteFacts(file, facts);
    this.#onChange();
  }

  /** What is inside a file that was there before. */
  noteFacts({ key, etag }: Pick<ReplicaFile, "key" | "etag">, facts: FileFacts): void {
    this.#factsByKey.set(key, { etag, facts });
  }

  factsOf({ key, etag }: Pick<ReplicaFile, "key" | "etag">): FileFacts | undefined {
    const known = this.#factsByKey.get(key);
    return known?.etag === etag ? known.facts : undefined;
  }

  /** Takes over what an earlier engine knew of files that are still what they were. */
  learn({ files, pageSize, hot }: Manifest): void {
    this.#hot = hot;
    for (const { key, etag, inside, minTxid, maxTxid, timestampMs } of files) {
      if (inside === undefined || this.#factsByKey.has(key)) continue;
      const facts = { ...inside, pageSize, minTxid, maxTxid, timestampMs };
      this.#factsByKey.set(key, { etag, facts });
    }
  }

  /** Leaves files out of the manifest from now on: they are going to be deleted. */
  withdraw(files: readonly ReplicaFile[]): void {
    let isNew = false;
    for (const { key } of files) {
      if (this.#goneSinceMs.has(key)) continue;
      this.#goneSinceMs.set(key, notYet);
      isNew = true;
    }
    if (isNew) this.#onChange();
  }

  /** How long until nobody may still rely on a manifest that names the file, ms; `Infinity` if the newest one does. */
  msUntilForgotten({ key }: ReplicaFile, graceMs: number, nowMs: number): number {
    if (this.#isGivenUp) return 0;
    const sinceMs = this.#goneSinceMs.get(key) ?? notYet;
    return Math.max(0, sinceMs + graceMs - nowMs);
  }

  /** No manifest is going to be written: nothing waits for one. */
  giveUp(): void {
    this.#isGivenUp = true;
  }

  /** The manifest of what is there; `undefined` if there is nothing to tell. */
  make(files: readonly ReplicaFile[]): Manifest | undefined {
    this.#forget(files);
    return makeManifest(
      files.filter(({ key }) => !this.#goneSinceMs.has(key)),
      {
        factsOf: (file) => this.factsOf(file),
        checksumKeyOf: (file) => {
          const key = checksumFileKey(file);
          return this.#checksumKeys.has(key) ? key : undefined;
        },
        hot: this.#hot,
      },
    );
  }

  /** The manifest was put, at a time on the clock that nobody sets. */
  noteWritten({ files }: Manifest, nowMs: number): void {
    const named = new Set(files.map(({ key }) => key));
    for (const [key, sinceMs] of this.#goneSinceMs) {
      if (sinceMs === notYet && !named.has(key)) this.#goneSinceMs.set(key, nowMs);
    }
  }

  /** Of files that are no longer there nothing has to be known. */
  #forget(files: readonly ReplicaFile[]): void {
    const present = new Set(files.map(({ key }) => key));
    for (const known of [this.#factsByKey, this.#goneSinceMs]) {
      for (const key of known.keys()) if (!present.has(key)) known.delete(key);
    }
  }
}
