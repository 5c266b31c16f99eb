// The engine without WebAssembly: for runtimes that lack it or forbid it. Same results as `wasm-codec.ts`
// (compressed bytes may differ, they decode to the same), at a fraction of its speed.
import { viewOf } from "../base/bytes.ts";
import type { Codec, PageKernel } from "./codec.ts";
import { Crc64, toChecksum } from "./crc64.ts";
import { readIndexColumns } from "./index-columns.ts";
import {
  batchPageCount,
  frameAreaBytes,
  frameHeaderSizeBytes,
  sharedFrameAreaBytes,
  slackBytes,
} from "./kernel-areas.ts";
import { compressBlock, decompressBlock } from "./lz4-block.ts";

const sizedFlag = 1;

/** The TypeScript engine. Always works. */
export function openTypescriptCodec(): Codec {
  return {
    engine: "typescript",
    readIndex: readIndexColumns,
    openKernel(pageSize) {
      const frameBytes = frameAreaBytes(pageSize, batchPageCount(pageSize));
      return new TypescriptKernel(new PageAreas(pageSize), frameBytes);
    },
    openKernels(pageSize, count) {
      const areas = new PageAreas(pageSize);
      const frameBytes = sharedFrameAreaBytes(pageSize, count);
      return Array.from({ length: count }, () => new TypescriptKernel(areas, frameBytes));
    },
  };
}

/** What several kernels have in common: pages and what belongs to each of them. */
class PageAreas {
  readonly pageSize: number;
  readonly maxPages: number;
  readonly pages: Uint8Array<ArrayBuffer>;
  readonly pgnos: Uint32Array;
  readonly checksums: BigUint64Array;
  readonly contentCrcs: BigUint64Array;
  /** A page being hashed, which destroys it. */
  readonly work: Int32Array;

  constructor(pageSize: number) {
    const maxPages = batchPageCount(pageSize);
    this.pageSize = pageSize;
    this.maxPages = maxPages;
    this.pages = new Uint8Array(maxPages * pageSize);
    this.pgnos = new Uint32Array(maxPages);
    this.checksums = new BigUint64Array(maxPages);
    this.contentCrcs = new BigUint64Array(maxPages);
    this.work = new Int32Array(pageSize / 4);
  }
}

class TypescriptKernel implements PageKernel {
  readonly pageSize: number;
  readonly maxPages: number;
  readonly pages: Uint8Array<ArrayBuffer>;
  readonly pgnos: Uint32Array;
  readonly checksums: BigUint64Array;
  readonly contentCrcs: BigUint64Array;
  readonly frames: Uint8Array<ArrayBuffer>;
  readonly #pagesView: DataView;
  readonly #framesView: DataView;
  /** The checksums as halves: low word first, as the host stores a u64. */
  readonly #checksumWords: Uint32Array;
  readonly #contentWords: Uint32Array;
  readonly #pageWords: Int32Array;
  readonly #work: Int32Array;
  readonly #multiplier: PageMultiplier;
  readonly #fileCrc = new Crc64();
  readonly #pageCrc = new Crc64();
  #xorHi = 0;
  #xorLo = 0;

  constructor(areas: PageAreas, frameBytes: number) {
    this.pageSize = areas.pageSize;
    this.maxPages = areas.maxPages;
    this.pages = areas.pages;
    this.pgnos = areas.pgnos;
    this.checksums = areas.checksums;
    this.contentCrcs = areas.contentCrcs;
    this.frames = new Uint8Array(frameBytes + slackBytes);
    this.#pagesView = viewOf(this.pages);
    this.#framesView = viewOf(this.frames);
    this.#checksumWords = new Uint32Array(this.checksums.buffer);
    this.#contentWords = new Uint32Array(this.contentCrcs.buffer);
    this.#pageWords = new Int32Array(this.pages.buffer);
    this.#work = areas.work;
    this.#multiplier = multiplierFor(areas.pageSize);
  }

  [Symbol.dispose](): void {
    // Nothing to give back: the memory is the collector's.
  }

  get fileChecksum(): bigint {
    return this.#fileCrc.value;
  }

  get pagesChecksum(): bigint {
    return toChecksum(this.#xorHi, this.#xorLo);
  }

  hash(bytes: Uint8Array): void {
    this.#fileCrc.add(bytes);
  }

  encodePages(count: number, at: number): number {
    const { pageSize } = this;
    const view = this.#framesView;
    let out = at;
    for (let index = 0; index < count; index++) {
      const block = out + frameHeaderSizeBytes;
      const end = compressBlock(this.#pagesView, index * pageSize, pageSize, view, block);
      view.setUint32(out, this.pgnos[index] ?? 0);
      view.setUint16(out + 4, sizedFlag);
      view.setUint32(out + 6, end - block);
      this.hashPage(index, out, frameHeaderSizeBytes);
      out = end;
    }
    return out;
  }

  decodePages(count: number, at: number): number {
    const { pageSize, frames, pages } = this;
    let next = at;
    for (let index = 0; index < count; index++) {
      const block = next + frameHeaderSizeBytes;
      const end = block + this.#framesView.getUint32(next + 6);
      const start = index * pageSize;
      const limit = start + pageSize;
      const out = decompressBlock(frames, block, end, pages, { start, at: start, limit });
      if (out !== limit) return index;
      this.hashPage(index, next, frameHeaderSizeBytes);
      next = end;
    }
    return count;
  }

  hashPage(index: number, at: number, headerSize: number): void {
    const file = this.#fileCrc;
    file.add(this.frames.subarray(at, at + headerSize));
    const { hi, lo } = file;
    file.addWords(this.#loadPage(index));
    // A page turns state h into the state of itself alone XOR h past a page of zeros.
    this.#multiplier.apply(hi, lo);
    this.#contentWords[2 * index] = file.lo ^ this.#multiplier.lo;
    this.#contentWords[2 * index + 1] = file.hi ^ this.#multiplier.hi;
    this.#addPage(index, at);
    this.#setChecksum(index, this.#pageCrc.hi, this.#pageCrc.lo);
  }

  hashFrames(count: number, at: number): void {
    const file = this.#fileCrc;
    let next = at;
    for (let index = 0; index < count; index++) {
      file.add(this.frames.subarray(next, next + frameHeaderSizeBytes));
      this.#multiplier.apply(file.hi, file.lo);
      file.lo = this.#multiplier.lo ^ (this.#contentWords[2 * index] ?? 0);
      file.hi = this.#multiplier.hi ^ (this.#contentWords[2 * index + 1] ?? 0);
      this.#addPage(index, next);
      next += frameHeaderSizeBytes + this.#framesView.getUint32(next + 6);
    }
  }

  /** Leaves in `#pageCrc` the CRC of the page whose frame header is at `head`, and adds its checksum to the XOR. */
  #addPage(index: number, head: number): void {
    const page = this.#pageCrc;
    page.reset();
    page.add(this.frames.subarray(head, head + 4));
    this.#multiplier.apply(page.hi, page.lo);
    page.lo = this.#multiplier.lo ^ (this.#contentWords[2 * index] ?? 0);
    page.hi = this.#multiplier.hi ^ (this.#contentWords[2 * index + 1] ?? 0);
    this.#xorLo ^= ~page.lo;
    this.#xorHi ^= ~page.hi | 0x8000_0000;
  }

  checksumPages(count: number): void {
    const page = this.#pageCrc;
    for (let index = 0; index < count; index++) {
      page.reset();
      page.addWord(swapBytes(this.pgnos[index] ?? 0));
      page.addWords(this.#loadPage(index));
      this.#setChecksum(index, page.hi, page.lo);
    }
  }

  #loadPage(index: number): Int32Array {
    const words = this.pageSize / 4;
    this.#work.set(this.#pageWords.subarray(index * words, (index + 1) * words));
    return this.#work;
  }

  #setChecksum(index: number, rawHi: number, rawLo: number): void {
    this.#checksumWords[2 * index] = ~rawLo;
    this.#checksumWords[2 * index + 1] = ~rawHi | 0x8000_0000;
  }
}

function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** Multiplies a CRC state by x^(8 * pageSize): what a page of zeros does to it. */
class PageMultiplier {
  hi = 0;
  lo = 0;
  /** Row `t`, column `v`: the product of `v << 4t`. */
  readonly #hi = new Int32Array(256);
  readonly #lo = new Int32Array(256);

  constructor(pageSize: number) {
    // Linear in the state, so single bits give everything else.
    const crc = new Crc64();
    const zeros = new Int32Array(pageSize / 4);
    for (let bit = 0; bit < 64; bit++) {
      crc.lo = bit < 32 ? 1 << bit : 0;
      crc.hi = bit < 32 ? 0 : 1 << (bit - 32);
      crc.addWords(zeros.fill(0));
      const row = (bit >> 2) * 16;
      const weight = 1 << (bit & 3);
      for (let value = 0; value < 16; value++) {
        if ((value & weight) === 0) continue;
        this.#hi[row + value] = (this.#hi[row + value] ?? 0) ^ crc.hi;
        this.#lo[row + value] = (this.#lo[row + value] ?? 0) ^ crc.lo;
      }
    }
  }

  /** Leaves the product in `hi` and `lo`. */
  apply(hi: number, lo: number): void {
    let productHi = 0;
    let productLo = 0;
    for (let t = 0; t < 8; t++) {
      const low = t * 16 + ((lo >>> (4 * t)) & 15);
      const high = (t + 8) * 16 + ((hi >>> (4 * t)) & 15);
      productHi ^= (this.#hi[low] ?? 0) ^ (this.#hi[high] ?? 0);
      productLo ^= (this.#lo[low] ?? 0) ^ (this.#lo[high] ?? 0);
    }
    this.hi = productHi;
    this.lo = productLo;
  }
}

const multiplierByPageSize = new Map<number, PageMultiplier>();

function multiplierFor(pageSize: number): PageMultiplier {
  const known = multiplierByPageSize.get(pageSize);
  if (known !== undefined) return known;
  const made = new PageMultiplier(pageSize);
  multiplierByPageSize.set(pageSize, made);
  return made;
}
