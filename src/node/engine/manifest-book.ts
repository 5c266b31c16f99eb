// What the manifest of a replica has to say beside the names of the files, kept up with every put; and what it says no
// longer, because it is about to be deleted: readers have the old manifest for some time yet.
import type { Clock } from "../../core/base/clock.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import type { FileFacts } from "../../core/replica/file-facts.ts";
import type { Manifest, ManifestHot, WithdrawnFile } from "../../core/replica/manifest.ts";
import { makeManifest } from "../../core/replica/make-manifest.ts";
import { checksumFileKey } from "../../core/view/checksum-file.ts";

interface KnownFacts {
  readonly etag: string;
  readonly facts: FileFacts;
}

/** When a manifest without a file was there first. */
interface Withdrawal {
  /** On the clock that nobody sets. */
  readonly monotonicMs: number;
  /** As it is told to others. */
  readonly sinceMs: number;
}

export class ManifestBook {
  readonly #clock: Clock;
  readonly #factsByKey = new Map<string, KnownFacts>();
  /** Files that are left out, by key; `undefined`: no manifest has been put without the file yet. */
  #withdrawalByKey = new Map<string, Withdrawal | undefined>();
  #checksumKeys: ReadonlySet<string> = new Set();
  #hot: ManifestHot | undefined;
  #isGivenUp = false;
  #onChange: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

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

  /** Takes over what an earlier engine knew of files that are still what they were, and what it had left out. */
  learn({ files, pageSize, hot, withdrawn = [] }: Manifest, writtenAtMs: number): void {
    this.#hot = hot;
    for (const { key, etag, inside, minTxid, maxTxid, timestampMs } of files) {
      if (inside === undefined || this.#factsByKey.has(key)) continue;
      const facts = { ...inside, pageSize, minTxid, maxTxid, timestampMs };
      this.#factsByKey.set(key, { etag, facts });
    }
    const ageMs = this.#clock.nowMs() - this.#clock.monotonicMs();
    for (const { key, sinceMs = Math.ceil(writtenAtMs) } of withdrawn) {
      this.#withdrawalByKey.set(key, { sinceMs, monotonicMs: sinceMs - ageMs });
    }
  }

  /** From now on leaves these files out of the manifest, and no others: they are going to be deleted. */
  withdraw(files: readonly ReplicaFile[]): void {
    const known = this.#withdrawalByKey;
    const keys = files.map(({ key }) => key);
    const isSame = keys.length === known.size && keys.every((key) => known.has(key));
    this.#withdrawalByKey = new Map(keys.map((key) => [key, known.get(key)]));
    if (!isSame) this.#onChange();
  }

  /** How long until nobody may still rely on a manifest that names the file, ms; `Infinity` if the newest one does. */
  msUntilForgotten({ key }: ReplicaFile, graceMs: number): number {
    if (this.#isGivenUp) return 0;
    const withdrawal = this.#withdrawalByKey.get(key);
    if (withdrawal === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, withdrawal.monotonicMs + graceMs - this.#clock.monotonicMs());
  }

  /** No manifest is going to be written: nothing waits for one. */
  giveUp(): void {
    this.#isGivenUp = true;
  }

  /** The manifest of what is there; `undefined` if there is nothing to tell. */
  make(files: readonly ReplicaFile[]): Manifest | undefined {
    this.#forget(files);
    return makeManifest(
      files.filter(({ key }) => !this.#withdrawalByKey.has(key)),
      {
        factsOf: (file) => this.factsOf(file),
        checksumKeyOf: (file) => {
          const key = checksumFileKey(file);
          return this.#checksumKeys.has(key) ? key : undefined;
        },
        hot: this.#hot,
        withdrawn: this.#withdrawn,
      },
    );
  }

  get #withdrawn(): readonly WithdrawnFile[] {
    return [...this.#withdrawalByKey]
      .map(([key, known]) => (known === undefined ? { key } : { key, sinceMs: known.sinceMs }))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The manifest was put just now. */
  noteWritten({ files }: Manifest): void {
    const named = new Set(files.map(({ key }) => key));
    const now = { monotonicMs: this.#clock.monotonicMs(), sinceMs: this.#clock.nowMs() };
    for (const [key, known] of this.#withdrawalByKey) {
      if (known === undefined && !named.has(key)) this.#withdrawalByKey.set(key, now);
    }
  }

  /** Of files that are no longer there nothing has to be known. */
  #forget(files: readonly ReplicaFile[]): void {
    const present = new Set(files.map(({ key }) => key));
    for (const known of [this.#factsByKey, this.#withdrawalByKey]) {
      for (const key of known.keys()) if (!present.has(key)) known.delete(key);
    }
  }
}
