// LZ4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md), read only. Litestream 0.5.0 to
// 0.5.3 stored each page as one frame without its length; the frame's own blocks say where it ends.
import { viewOf } from "../base/bytes.ts";
import { decompressBlock } from "./lz4-block.ts";
import { xxh32 } from "./xxh32.ts";

const magic = 0x184d_2204;
/** Set in the size of a block that is not compressed. */
export const blockStored = 0x8000_0000;

/** What a frame says about itself in its first bytes. */
export interface FrameDescriptor {
  readonly sizeBytes: number;
  /** The most that a block gives. */
  readonly blockLimitBytes: number;
  readonly areBlocksIndependent: boolean;
  readonly hasBlockChecksums: boolean;
  readonly hasContentChecksum: boolean;
  readonly contentSizeBytes: number | undefined;
}

export type Lz4FrameResult =
  /** The frame ended well after `sizeBytes` of input and gave `contentSizeBytes` of output. */
  | { readonly kind: "done"; readonly sizeBytes: number; readonly contentSizeBytes: number }
  /** The input ends inside the frame. */
  | { readonly kind: "short" }
  | { readonly kind: "corrupt"; readonly reason: string };

/**
 * Decodes the frame at the start of `input` into `target`, whose length is the most it may give. Checks every
 * checksum the frame carries. Dictionaries are not supported: nothing that writes LTX uses one.
 */
export function decodeLz4Frame(input: Uint8Array, target: Uint8Array): Lz4FrameResult {
  const descriptor = readDescriptor(input);
  if ("kind" in descriptor) return descriptor;
  const view = viewOf(input);
  let at = descriptor.sizeBytes;
  let out = 0;
  for (;;) {
    if (input.length - at < 4) return { kind: "short" };
    const word = view.getUint32(at, true);
    at += 4;
    if (word === 0) break;
    const size = word & ~blockStored;
    if (size > input.length - at) return { kind: "short" };
    const block = input.subarray(at, at + size);
    at += size;
    if (descriptor.hasBlockChecksums) {
      if (input.length - at < 4) return { kind: "short" };
      if (view.getUint32(at, true) !== xxh32(block)) return corrupt("wrong block checksum");
      at += 4;
    }
    if ((word & blockStored) !== 0) {
      if (size > target.length - out) return corrupt("it gives too many bytes");
      target.set(block, out);
      out += size;
    } else {
      const start = descriptor.areBlocksIndependent ? out : 0;
      const limit = target.length;
      out = decompressBlock(block, 0, size, target, { start, at: out, limit });
      if (out < 0) return corrupt("a block cannot be decoded");
    }
  }
  if (descriptor.hasContentChecksum) {
    if (input.length - at < 4) return { kind: "short" };
    if (view.getUint32(at, true) !== xxh32(target.subarray(0, out))) {
      return corrupt("wrong content checksum");
    }
    at += 4;
  }
  const { contentSizeBytes = out } = descriptor;
  if (contentSizeBytes !== out) return corrupt("wrong content size");
  return { kind: "done", sizeBytes: at, contentSizeBytes: out };
}

/** Reads what stands before the first block of a frame. */
export function readDescriptor(input: Uint8Array): FrameDescriptor | Lz4FrameResult {
  if (input.length < 7) return { kind: "short" };
  const view = viewOf(input);
  if (view.getUint32(0, true) !== magic) return corrupt("no LZ4 frame magic");
  const flags = view.getUint8(4);
  if (flags >> 6 !== 1) return corrupt("unknown version");
  if ((flags & 0b10) !== 0) return corrupt("a reserved flag is set");
  if ((flags & 0b1) !== 0) return corrupt("it needs a dictionary");
  const blockSize = view.getUint8(5);
  if ((blockSize & 0x8f) !== 0 || blockSize >> 4 < 4) return corrupt("unknown block size");
  const hasContentSize = (flags & 0b1000) !== 0;
  const headerEnd = hasContentSize ? 14 : 6;
  if (input.length <= headerEnd) return { kind: "short" };
  const headerChecksum = (xxh32(input.subarray(4, headerEnd)) >>> 8) & 0xff;
  if (view.getUint8(headerEnd) !== headerChecksum) return corrupt("wrong header checksum");
  return {
    sizeBytes: headerEnd + 1,
    blockLimitBytes: 2 ** (8 + 2 * (blockSize >> 4)),
    areBlocksIndependent: (flags & 0b10_0000) !== 0,
    hasBlockChecksums: (flags & 0b1_0000) !== 0,
    hasContentChecksum: (flags & 0b100) !== 0,
    contentSizeBytes: hasContentSize ? Number(view.getBigUint64(6, true)) : undefined,
  };
}

function corrupt(reason: string): Lz4FrameResult {
  return { kind: "corrupt", reason };
}
