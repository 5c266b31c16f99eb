// The codec: CRC-64, LZ4 and page checksums for many pages per call. Two engines give the same results:
// WebAssembly with SIMD (`kernel.as.ts`) and plain TypeScript. Everything above works on `PageKernel`.
//
// A kernel is working memory with four areas that the host fills and reads in place, so that nothing is
// copied between steps: pages, their numbers, their checksums, and frames as they stand in a file.
import type { IndexReading } from "./index-columns.ts";
import { openTypescriptCodec } from "./typescript-codec.ts";
import { openWasmCodec } from "./wasm-codec.ts";

export type CodecEngine = "wasm" | "typescript";

export interface Codec {
  /** Which engine is at work. */
  readonly engine: CodecEngine;
  /**
   * Working memory for a batch of pages of this size, `isPageSize(pageSize)`, about 0.6 MB. Dispose it, so that its memory
   * is used again.
   */
  openKernel(pageSize: number): PageKernel;
  /**
   * Kernels for `count` files that are decoded in turn: each has checksums and frames of its own, where there are many some
   * tens of KB; pages, their numbers and checksums may be the same memory in all, and then hold what the one that worked
   * last put there. Dispose each.
   */
  openKernels(pageSize: number, count: number): readonly PageKernel[];
  /**
   * The entries of a page index, in columns of their own, up to its end mark or to what is wrong with it. No frame may end
   * after `limitBytes` of the file, overlap the one before it, or have a lower page number.
   */
  readIndex(bytes: Uint8Array, limitBytes: number): IndexReading;
}

/** Working memory and running checksums for one file. Its areas keep their place until it is disposed. */
export interface PageKernel extends Disposable {
  readonly pageSize: number;
  /** Pages that fit into the areas. */
  readonly maxPages: number;
  /** `maxPages * pageSize` bytes. */
  readonly pages: Uint8Array;
  /** Page numbers: input of `encodePages` and `checksumPages`. */
  readonly pgnos: Uint32Array;
  /** Checksum of each page of the last call, bit 63 set. */
  readonly checksums: BigUint64Array;
  /**
   * Content CRC of each page of the last call: what the page adds to the CRC of whatever it is part of. Input of
   * `hashFrames`. Raw, for no other use.
   */
  readonly contentCrcs: BigUint64Array;
  /**
   * Frames: output of `encodePages`, input of `decodePages`. Holds `maxPages` frames of any size we write, in one of
   * several kernels at least one frame.
   */
  readonly frames: Uint8Array;

  /** CRC of everything hashed since the kernel was opened, inverted, bit 63 set (docs/formats/ltx.md, checksums). */
  readonly fileChecksum: bigint;
  /** XOR of the checksums of all pages encoded, decoded or hashed since it was opened, bit 63 set. */
  readonly pagesChecksum: bigint;

  /** Adds bytes to the file checksum. */
  hash(bytes: Uint8Array): void;
  /** Compresses the first `count` pages into frames at `at`, hashes them; returns where the frames end. */
  encodePages(count: number, at: number): number;
  /**
   * Decodes `count` whole frames (flags 1, size field) from `at` on into pages 0, 1, ... and hashes them.
   * The caller has checked that they lie inside the area. Returns `count`, or the index of the first frame
   * whose block does not give exactly one page.
   */
  decodePages(count: number, at: number): number;
  /** Hashes one frame header of `headerSize` bytes (6 or 10) at `at` and page `index` as it stands in `pages`. */
  hashPage(index: number, at: number, headerSize: number): void;
  /**
   * Hashes `count` whole frames (flags 1, size field) from `at` on as `decodePages` does, without decoding them:
   * `contentCrcs` has what another kernel found for their pages.
   */
  hashFrames(count: number, at: number): void;
  /** Checksums of the first `count` pages. Touches no running checksum. */
  checksumPages(count: number): void;
}

/**
 * Opens WebAssembly, or the TypeScript engine where WebAssembly or its SIMD is missing or forbidden (a
 * content-security policy). Asking for "wasm" by name throws what made it fail.
 */
export function openCodec({ engine }: { readonly engine?: CodecEngine } = {}): Codec {
  if (engine === "typescript") return openTypescriptCodec();
  if (engine === "wasm") return openWasmCodec();
  try {
    return openWasmCodec();
  } catch {
    return openTypescriptCodec();
  }
}
