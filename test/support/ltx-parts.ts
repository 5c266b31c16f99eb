// LTX files put together by hand, to break one rule at a time. Their checksums are right.
import { compressFrameSync } from "lz4-napi";
import { concatBytes, viewOf } from "../../src/core/base/bytes.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import type { LtxHeader } from "../../src/core/ltx/header.ts";
import { encodeHeader, ltxHeaderSizeBytes } from "../../src/core/ltx/header.ts";
import { PageIndexWriter } from "../../src/core/ltx/page-index.ts";
import { encodeTrailer } from "../../src/core/ltx/trailer.ts";
import { ltxHeader } from "./ltx.ts";

const codec = openCodec();

/** Page size of all of these files. */
export const partPageSize = 512;

/** A page that differs for each seed, partly compressible. */
export function samplePage(seed: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(partPageSize).map((_, i) => (i % 100 < 60 ? seed : i * seed));
}

/** What a file is made of. */
export interface Parts {
  readonly header: Uint8Array;
  /** Frames: header bytes, the page they stand for, and the bytes stored for it. */
  readonly frames: readonly {
    readonly head: Uint8Array;
    readonly page: Uint8Array;
    readonly body: Uint8Array;
  }[];
  readonly end: Uint8Array;
  readonly index: Uint8Array;
  readonly postApplyChecksum: bigint;
}

/** The bytes of the file, every checksum right. */
export function assemble({ header, frames, end, index, postApplyChecksum }: Parts): Uint8Array {
  using kernel = codec.openKernel(partPageSize);
  const hash = (bytes: Uint8Array): Uint8Array => {
    kernel.hash(bytes);
    return bytes;
  };
  const pieces = [hash(header)];
  for (const { head, page: bytes, body } of frames) {
    pieces.push(hash(head), body);
    hash(bytes);
  }
  pieces.push(hash(end), hash(index));
  hash(encodeTrailer({ postApplyChecksum, fileChecksum: 0n }).subarray(0, 8));
  pieces.push(encodeTrailer({ postApplyChecksum, fileChecksum: kernel.fileChecksum }));
  return concatBytes(pieces);
}

/** A frame of `samplePage(pgno)`. */
export function frame(
  pgno: number,
  { flags = 1, body = literalBlock(samplePage(pgno)) } = {},
): Parts["frames"][number] {
  const head = new Uint8Array(10);
  const view = viewOf(head);
  view.setUint32(0, pgno);
  view.setUint16(4, flags);
  view.setUint32(6, body.length);
  return { head, page: samplePage(pgno), body };
}

/** A frame as Litestream 0.5.0 wrote it. */
export function oldFrame(pgno: number): Parts["frames"][number] {
  return {
    head: frame(pgno).head.with(5, 0).slice(0, 6),
    page: samplePage(pgno),
    body: compressFrameSync(Buffer.from(samplePage(pgno)), { contentChecksum: true }),
  };
}

/** An LZ4 block of one literal run. */
export function literalBlock(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length - 15;
  const length = [...Array.from({ length: Math.floor(rest / 255) }, () => 255), rest % 255];
  return concatBytes([Uint8Array.of(0xf0, ...length), bytes]);
}

/** The index and its length, as the frames make it. */
export function indexOf(frames: Parts["frames"]): Uint8Array {
  const index = new PageIndexWriter();
  let offset = ltxHeaderSizeBytes;
  for (const { head, body } of frames) {
    const sizeBytes = head.length + body.length;
    index.add(viewOf(head).getUint32(0), offset, sizeBytes);
    offset += sizeBytes;
  }
  return index.finish();
}

/** A sound file of these frames. */
export function parts(frames: Parts["frames"], header: Partial<LtxHeader> = {}): Parts {
  return {
    header: encodeHeader(ltxHeader({ pageSize: partPageSize, commit: 4, ...header })),
    frames,
    end: new Uint8Array(6),
    index: indexOf(frames),
    postApplyChecksum: 0n,
  };
}
