// The files of a replica as one engine knows them: listed once, then kept up with what it puts and deletes. So levels and
// retention cost no listing of their own; whenever something is in doubt it is forgotten and listed anew.
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { promptMs } from "./put-times.ts";

export class KnownFiles {
  #fileByKey: Map<string, ReplicaFile> | undefined;
  /** When this process put a file, by its own clock: a header may carry a much earlier time. */
  readonly #putAtMsByKey: Map<string, number>;
  readonly #latePuts: Map<string, number>;
  #puts = 0;
  /** Put while a listing is under way, which may or may not show them. */
  #added: ReplicaFile[] | undefined;

  /** `latePuts`: of earlier engines of this process, with when they were put. */
  constructor(latePuts: ReadonlyMap<string, number> = new Map()) {
    this.#putAtMsByKey = new Map(latePuts);
    this.#latePuts = new Map(latePuts);
  }

  get isLoaded(): boolean {
    return this.#fileByKey !== undefined;
  }

  /** How many files this process has put. */
  get puts(): number {
    return this.#puts;
  }

  /** Files that were put later than promptly, by their keys: when. */
  get latePuts(): ReadonlyMap<string, number> {
    return this.#latePuts;
  }

  /** All of them; empty before they are loaded. */
  get files(): readonly ReplicaFile[] {
    return [...(this.#fileByKey?.values() ?? [])];
  }

  /** The same, with the time at which this process put them where that is later. */
  get filesAsPut(): readonly ReplicaFile[] {
    return this.files.map((file) => {
      const putAtMs = this.#putAtMsByKey.get(file.key) ?? 0;
      return putAtMs > file.timestampMs ? { ...file, timestampMs: putAtMs } : file;
    });
  }

  /** Takes over a listing, with whatever is put meanwhile. */
  async load(list: () => Promise<readonly ReplicaFile[]>): Promise<void> {
    const added: ReplicaFile[] = [];
    this.#added = added;
    const files = [...(await list()), ...added];
    // Forgotten while it was listed: then the listing is in doubt, too.
    if (this.#added !== added) return;
    this.#added = undefined;
    this.#fileByKey = new Map(files.map((file) => [file.key, file]));
  }

  /** A file that was put just now. */
  add(file: ReplicaFile, nowMs: number): void {
    this.#puts++;
    const isLate = nowMs - file.timestampMs > promptMs;
    if (isLate) this.#latePuts.set(file.key, nowMs);
    this.#added?.push(file);
    this.#fileByKey?.set(file.key, file);
    if (isLate || this.#fileByKey !== undefined) this.#putAtMsByKey.set(file.key, nowMs);
  }

  /** Files that were deleted. */
  remove(files: readonly ReplicaFile[]): void {
    for (const { key } of files) {
      this.#fileByKey?.delete(key);
      this.#putAtMsByKey.delete(key);
      this.#latePuts.delete(key);
    }
  }

  forget(): void {
    this.#fileByKey = undefined;
    this.#added = undefined;
  }
}
