// What each page of a file must hash to, where the file has a checksum file: loaded once, when its first page is fetched.
import { type Waiting, orAborted } from "../base/async.ts";
import { collectBytes } from "../base/bytes.ts";
import { hasCode } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Codec } from "../codec/codec.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { decodeChecksumFile } from "./checksum-file.ts";

/** The checksums of one file's pages. */
export class FileProof {
  /** Ascending. */
  readonly #pgnos: Uint32Array;
  readonly #checksums: BigUint64Array;

  constructor(pgnos: Uint32Array, checksums: BigUint64Array) {
    this.#pgnos = pgnos;
    this.#checksums = checksums;
  }

  /** Whether the page has the checksum it must have. */
  accepts(pgno: number, checksum: bigint): boolean {
    return this.get(pgno) === checksum;
  }

  /** The checksum that the page must have; `undefined` if the file does not hold it. */
  get(pgno: number): bigint | undefined {
    let low = 0;
    let high = this.#pgnos.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#pgnos[middle] ?? 0) < pgno) low = middle + 1;
      else high = middle;
    }
    return this.#pgnos[low] === pgno ? this.#checksums[low] : undefined;
  }
}

/** What is known of a file before its checksum file has been read. */
export interface ExpectedProof {
  readonly checksumKey: string;
  readonly fileChecksum: bigint;
  readonly pageSize: number;
  readonly pgnos: Uint32Array;
}

export interface PageProofsOptions {
  readonly store: ObjectStore;
  readonly codec: Codec;
  readonly logger: Logger;
}

export class PageProofs {
  readonly #options: PageProofsOptions;
  readonly #expected = new Map<number, ExpectedProof>();
  readonly #proofs = new Map<number, Promise<FileProof | undefined>>();
  /** Those that have been loaded. */
  readonly #known = new Map<number, FileProof | undefined>();

  constructor(options: PageProofsOptions) {
    this.#options = options;
  }

  /** Announces the checksum file of a file, by the number of the file. */
  expect(file: number, expected: ExpectedProof): void {
    this.#expected.set(file, expected);
  }

  /** The checksums of a file; `undefined` if it has none that can be used. Throws what the store throws. */
  async of(file: number, { signal }: Waiting): Promise<FileProof | undefined> {
    const expected = this.#expected.get(file);
    if (expected === undefined) return undefined;
    let proof = this.#proofs.get(file);
    if (proof === undefined) {
      // Shared by all who ask, so not ended with one of them.
      proof = this.#load(file, expected);
      this.#proofs.set(file, proof);
      proof.catch(() => this.#proofs.delete(file));
    }
    return orAborted(proof, { signal });
  }

  /** `of`, for a reader that stands still meanwhile. */
  now(file: number, reads: BlockingReads): FileProof | undefined {
    const expected = this.#expected.get(file);
    if (expected === undefined || this.#known.has(file)) return this.#known.get(file);
    return this.#learn(file, expected, getWholeNow(reads, expected.checksumKey));
  }

  /** Forgets all other files. */
  retain(files: ReadonlySet<number>): void {
    for (const file of this.#expected.keys()) {
      if (files.has(file)) continue;
      this.#expected.delete(file);
      this.#proofs.delete(file);
      this.#known.delete(file);
    }
  }

  async #load(file: number, expected: ExpectedProof): Promise<FileProof | undefined> {
    const bytes = await readWhole(this.#options.store, expected.checksumKey);
    return this.#learn(file, expected, bytes);
  }

  /** `bytes`: the checksum file, `undefined` if it is gone. */
  #learn(
    file: number,
    expected: ExpectedProof,
    bytes: Uint8Array | undefined,
  ): FileProof | undefined {
    const proof = this.#proofOf(expected, bytes);
    // Unless it was forgotten meanwhile.
    if (this.#expected.has(file)) this.#known.set(file, proof);
    return proof;
  }

  #proofOf(expected: ExpectedProof, bytes: Uint8Array | undefined): FileProof | undefined {
    const { codec, logger } = this.#options;
    const { checksumKey: key, pgnos } = expected;
    const found = bytes === undefined ? undefined : decodeChecksumFile(codec, bytes);
    const isItsOwn =
      found?.fileChecksum === expected.fileChecksum &&
      found.pageSize === expected.pageSize &&
      found.checksums.length === pgnos.length;
    if (found !== undefined && isItsOwn) return new FileProof(pgnos, found.checksums);
    const reason =
      bytes === undefined ? "gone" : found === undefined ? "damaged" : "of another file";
    logger.log("warn", "view.checksums-unusable", { key, reason });
    return undefined;
  }
}

async function readWhole(store: ObjectStore, key: string): Promise<Uint8Array | undefined> {
  try {
    const content = await store.get(key, {});
    if (content === undefined) return undefined;
    return await collectBytes(content.body);
  } catch (error) {
    if (hasCode(error, "store/changed")) return undefined;
    throw error;
  }
}

function getWholeNow(reads: BlockingReads, key: string): Uint8Array | undefined {
  try {
    return reads.getNow(key, {})?.bytes;
  } catch (error) {
    if (hasCode(error, "store/changed")) return undefined;
    throw error;
  }
}
