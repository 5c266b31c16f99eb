// The files that frames lie in, by number. Numbers are never given twice, so a frame (number, offset) stays what it is in
// every view and in the cache for as long as the table lives.
import { must } from "../base/assert.ts";
import type { ReplicaFile } from "../replica/catalog.ts";
import type { LtxHeader, LtxProof } from "../ltx/header.ts";

/** A file as a listing or a manifest names it. */
export interface ViewFile extends ReplicaFile {
  /** What a manifest says of the inside; without it the header is read. */
  readonly inside?: FileInside | undefined;
  /** Key of the checksum file beside it, if there is one. */
  readonly checksumKey?: string | undefined;
}

export type FileInside = Pick<LtxHeader, "pageSize" | "commit" | "timestampMs"> & {
  /** Bytes of the page index, its length included. */
  readonly indexSizeBytes: number;
  /** What the file proves, if it does. */
  readonly proof?: LtxProof | undefined;
};

export class FileTable {
  #next = 0;
  readonly #fileByNumber = new Map<number, ViewFile>();
  readonly #numberByIdentity = new Map<string, number>();
  readonly #checksumByNumber = new Map<number, bigint>();

  get size(): number {
    return this.#fileByNumber.size;
  }

  /** The number of a file: the same for the same object, another if the object was replaced. */
  numberOf(file: ViewFile): number {
    const identity = identityOf(file);
    let number = this.#numberByIdentity.get(identity);
    if (number === undefined) {
      number = this.#next++;
      this.#numberByIdentity.set(identity, number);
    }
    this.#fileByNumber.set(number, file);
    return number;
  }

  get(number: number): ViewFile {
    return must(this.#fileByNumber.get(number), `file ${number} of a view`);
  }

  /** What the trailer of a file says of all its bytes. */
  noteChecksum(number: number, checksum: bigint): void {
    this.#checksumByNumber.set(number, checksum);
  }

  /** Whether a key among `now` held other bytes among `before`. */
  isReplaced(before: ReadonlySet<number>, now: ReadonlySet<number>): boolean {
    const checksumByKey = new Map<string, bigint | undefined>();
    for (const number of before) {
      checksumByKey.set(this.get(number).key, this.#checksumByNumber.get(number));
    }
    for (const number of now) {
      const old = checksumByKey.get(this.get(number).key);
      if (old !== undefined && old !== this.#checksumByNumber.get(number)) return true;
    }
    return false;
  }

  /** Forgets all other files. */
  retain(numbers: ReadonlySet<number>): void {
    for (const [number, file] of this.#fileByNumber) {
      if (numbers.has(number)) continue;
      this.#fileByNumber.delete(number);
      this.#numberByIdentity.delete(identityOf(file));
      this.#checksumByNumber.delete(number);
    }
  }
}

function identityOf({ key, etag }: ViewFile): string {
  return `${key}\n${etag}`;
}
