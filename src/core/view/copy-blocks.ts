// Reads pages out of a local copy, in blocks: the browser's private files cost about half a millisecond for each read, whatever
// its size. Each page is checked as it comes: a copy that was altered is told from one that was not.
import { HeadwaterError } from "../base/errors.ts";
import type { Codec } from "../codec/codec.ts";
import { checksumPages } from "../ltx/page-checksums.ts";
import type { CopyIndex } from "./copy-index.ts";

/** A copy that is there. */
export interface PageCopy {
  readonly index: CopyIndex;
  /** Throws if the file is gone or cannot be read. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The same for a caller that stands still. */
  readNow(offset: number, length: number): Uint8Array;
}

const blockBytes = 256 * 1024;
/** Blocks that are kept. */
const maxBlocks = 16;

interface Block {
  readonly bytes: Uint8Array;
  readonly firstPgno: number;
  /** Whether a page of it was asked for before. */
  isUsed: boolean;
}

/** Gets pages of a block. Borrowed until it returns. */
export type TakePage = (pgno: number, page: Uint8Array) => void;

export class CopyBlocks {
  readonly copy: PageCopy;
  readonly #codec: Codec;
  /** By number; the one used last comes last. */
  readonly #blocks = new Map<number, Block>();

  constructor(copy: PageCopy, codec: Codec) {
    this.copy = copy;
    this.#codec = codec;
  }

  /**
   * Gives a page of the copy, and with the second one that is asked of a block all of it: a reader that comes back is
   * likely to go on there. Throws `view/corrupt-page`, and what reading throws.
   */
  async load(pgno: number, take: TakePage): Promise<void> {
    const { number, offset, length } = this.#placeOf(pgno);
    const block =
      this.#take(number) ?? this.#keep(number, await this.copy.read(offset, length), length);
    this.#give(block, pgno, take);
  }

  /** `load` for a caller that stands still. */
  loadNow(pgno: number, take: TakePage): void {
    const { number, offset, length } = this.#placeOf(pgno);
    const block =
      this.#take(number) ?? this.#keep(number, this.copy.readNow(offset, length), length);
    this.#give(block, pgno, take);
  }

  get #pagesPerBlock(): number {
    return blockBytes / this.copy.index.pageSize;
  }

  #placeOf(pgno: number): {
    readonly number: number;
    readonly offset: number;
    readonly length: number;
  } {
    const number = Math.floor((pgno - 1) / this.#pagesPerBlock);
    const offset = number * blockBytes;
    return { number, offset, length: Math.min(blockBytes, this.copy.index.sizeBytes - offset) };
  }

  #take(number: number): Block | undefined {
    const block = this.#blocks.get(number);
    if (block === undefined) return undefined;
    this.#blocks.delete(number);
    this.#blocks.set(number, block);
    return block;
  }

  #keep(number: number, bytes: Uint8Array, length: number): Block {
    if (bytes.length !== length) throw damaged(number * this.#pagesPerBlock + 1);
    const block = { bytes, firstPgno: number * this.#pagesPerBlock + 1, isUsed: false };
    this.#check(block);
    this.#blocks.set(number, block);
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= maxBlocks) break;
      this.#blocks.delete(oldest);
    }
    return block;
  }

  #check({ bytes, firstPgno }: Block): void {
    const { index } = this.copy;
    const { pageSize } = index;
    const count = bytes.length / pageSize;
    const pgnos = Uint32Array.from({ length: count }, (_, at) => firstPgno + at);
    const checksums = new BigUint64Array(count);
    checksumPages(this.#codec, pageSize, pgnos, 0, count, bytes, checksums);
    for (const [at, checksum] of checksums.entries()) {
      const expected = index.checksumOf(firstPgno + at);
      // No file had it: nobody reads it from here.
      if (expected !== 0n && expected !== checksum) throw damaged(firstPgno + at);
    }
  }

  #give(block: Block, pgno: number, take: TakePage): void {
    const { pageSize } = this.copy.index;
    const { bytes, firstPgno } = block;
    const first = block.isUsed ? firstPgno : pgno;
    const last = block.isUsed ? firstPgno + bytes.length / pageSize - 1 : pgno;
    block.isUsed = true;
    for (let one = first; one <= last; one++) {
      const at = (one - firstPgno) * pageSize;
      if (one !== pgno) take(one, bytes.subarray(at, at + pageSize));
    }
    // Last, so that a small cache has it.
    const at = (pgno - firstPgno) * pageSize;
    take(pgno, bytes.subarray(at, at + pageSize));
  }
}

function damaged(pgno: number): HeadwaterError {
  return new HeadwaterError(
    "view/corrupt-page",
    `Page ${pgno} of the local copy is damaged. The copy is thrown away; the replica has the page.`,
    { data: { pgno } },
  );
}
