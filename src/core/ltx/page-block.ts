// Frames: how a page stands in an LTX file. Page number, flags, size and one LZ4 block; Litestream 0.5.0 to
// 0.5.3 wrote flags 0, no size and one LZ4 frame instead. Format: docs/formats/ltx.md, "Page block".
import type { Codec, PageKernel } from "../codec/codec.ts";
import { frameHeaderSizeBytes, maxBlockSizeBytes } from "../codec/kernel-areas.ts";
import { decodeLz4Frame } from "../codec/lz4-frame.ts";
import { viewOf } from "../base/bytes.ts";
import type { FilePlace } from "./fault.ts";
import { ltxFault } from "./fault.ts";

/** Where each field of a frame header lies: [offset, size] in bytes. A legacy frame has no `size`. */
export const ltxFrameLayout = {
  pgno: [0, 4],
  flags: [4, 2],
  size: [6, 4],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

/** Header of a legacy frame, and length of the zero bytes that end the page block. */
export const legacyFrameHeaderSizeBytes = 6;
/** Flag: a size field and an LZ4 block follow. */
const sizedFlag = 1;

/** What stands at one place of the page block. */
export type FrameHead =
  | { readonly kind: "end" }
  | { readonly kind: "frame"; readonly pgno: number; readonly sizeBytes: number }
  | { readonly kind: "legacy"; readonly pgno: number }
  | { readonly kind: "short" };

/** Reads the frame header at `at`, of bytes up to `end`. Throws `ltx/invalid` for flags or sizes out of bounds. */
export function readFrameHead(
  view: DataView,
  at: number,
  end: number,
  pageSize: number,
  place: FilePlace,
): FrameHead {
  if (end - at < legacyFrameHeaderSizeBytes) return { kind: "short" };
  const pgno = view.getUint32(at + ltxFrameLayout.pgno[0]);
  const flags = view.getUint16(at + ltxFrameLayout.flags[0]);
  if (pgno === 0) {
    if (flags === 0) return { kind: "end" };
    throw ltxFault("ltx/invalid", place, "page number 0");
  }
  if (flags === 0) return { kind: "legacy", pgno };
  if (flags !== sizedFlag) {
    throw ltxFault("ltx/invalid", place, `page ${pgno} has unknown flags ${flags}`);
  }
  if (end - at < frameHeaderSizeBytes) return { kind: "short" };
  const blockBytes = view.getUint32(at + ltxFrameLayout.size[0]);
  if (blockBytes === 0 || blockBytes > maxBlockSizeBytes(pageSize)) {
    throw ltxFault("ltx/invalid", place, `page ${pgno} cannot have ${blockBytes} compressed bytes`);
  }
  return { kind: "frame", pgno, sizeBytes: frameHeaderSizeBytes + blockBytes };
}

/** The page that a frame of either kind says it is of; `undefined` if it is too short for one. Nothing else is looked at. */
export function pgnoOfFrame(frame: Uint8Array): number | undefined {
  if (frame.length < legacyFrameHeaderSizeBytes) return undefined;
  return viewOf(frame).getUint32(ltxFrameLayout.pgno[0]);
}

/** Whether a frame with a size field stands at `at`, of that page and of that size, header included. */
export function isFrameOf(
  view: DataView,
  at: number,
  { pgno, sizeBytes }: { readonly pgno: number; readonly sizeBytes: number },
): boolean {
  return (
    sizeBytes > frameHeaderSizeBytes &&
    view.getUint32(at + ltxFrameLayout.pgno[0]) === pgno &&
    view.getUint16(at + ltxFrameLayout.flags[0]) === sizedFlag &&
    view.getUint32(at + ltxFrameLayout.size[0]) === sizeBytes - frameHeaderSizeBytes
  );
}

/**
 * Decodes the LZ4 frame of a legacy page, whose header starts at the first byte of `bytes`. Returns the size of
 * the whole, header included, or `undefined` if `bytes` ends inside it. Throws `ltx/invalid` if it is corrupt.
 */
export function decodeLegacyFrame(
  bytes: Uint8Array,
  page: Uint8Array,
  place: FilePlace,
): number | undefined {
  const body = bytes.subarray(legacyFrameHeaderSizeBytes);
  const result = decodeLz4Frame(body.subarray(0, maxBlockSizeBytes(page.length)), page);
  if (result.kind === "short") {
    if (body.length < maxBlockSizeBytes(page.length)) return undefined;
    throw ltxFault("ltx/invalid", place, "a page in the old format is too long");
  }
  if (result.kind === "corrupt") {
    throw ltxFault("ltx/invalid", place, `a page in the old format is damaged: ${result.reason}`);
  }
  if (result.contentSizeBytes !== page.length) {
    throw ltxFault("ltx/invalid", place, "a page in the old format has the wrong length");
  }
  return legacyFrameHeaderSizeBytes + result.sizeBytes;
}

/** A page read by itself, through the page index. */
export interface SinglePage {
  readonly pgno: number;
  /** Copied. */
  readonly page: Uint8Array<ArrayBuffer>;
  /** Page checksum, bit 63 set. */
  readonly checksum: bigint;
}

/**
 * Decodes one whole frame, of either kind. `offset` in `place` is where it starts in its file. Nothing here proves
 * the bytes: the file's checksum covers the whole file only. Throws `ltx/invalid` or `ltx/short`.
 */
export function decodePageFrame(
  codec: Codec,
  pageSize: number,
  frame: Uint8Array,
  place: FilePlace,
): SinglePage {
  using kernel = codec.openKernel(pageSize);
  const { pgno, checksum } = decodeFrameInto(kernel, frame, place);
  return { pgno, page: kernel.pages.slice(0, pageSize), checksum };
}

/** The same, leaving the page in the first of the kernel's pages, so that many can be decoded one after the other. */
export function decodeFrameInto(
  kernel: PageKernel,
  frame: Uint8Array,
  place: FilePlace,
): Omit<SinglePage, "page"> {
  const { pageSize } = kernel;
  const head = readFrameHead(viewOf(frame), 0, frame.length, pageSize, place);
  if (head.kind === "short" || (head.kind === "frame" && head.sizeBytes > frame.length)) {
    throw ltxFault("ltx/short", place, "the frame is cut off");
  }
  if (head.kind === "end") throw ltxFault("ltx/invalid", place, "there is no page");
  const page = kernel.pages.subarray(0, pageSize);
  const expectedBytes =
    head.kind === "legacy" ? decodeLegacyFrame(frame, page, place) : head.sizeBytes;
  if (expectedBytes === undefined) throw ltxFault("ltx/short", place, "the frame is cut off");
  if (expectedBytes !== frame.length) {
    throw ltxFault("ltx/invalid", place, `page ${head.pgno} does not fill its frame`);
  }
  if (head.kind === "legacy") {
    kernel.pgnos[0] = head.pgno;
    kernel.checksumPages(1);
  } else {
    kernel.frames.set(frame);
    if (kernel.decodePages(1, 0) === 0) throw corruptPage(head.pgno, place);
  }
  return { pgno: head.pgno, checksum: kernel.checksums[0] ?? 0n };
}

/** One page as a frame, to be copied into a file. */
export interface EncodedPage {
  /** Copied. */
  readonly frame: Uint8Array<ArrayBuffer>;
  /** As in `PageKernel`. */
  readonly contentCrc: bigint;
}

/** Encodes one page by itself. */
export function encodePageFrame(codec: Codec, pgno: number, page: Uint8Array): EncodedPage {
  using kernel = codec.openKernel(page.length);
  kernel.pgnos[0] = pgno;
  kernel.pages.set(page);
  const frame = kernel.frames.slice(0, kernel.encodePages(1, 0));
  return { frame, contentCrc: kernel.contentCrcs[0] ?? 0n };
}

/** The error for a block that does not decode to one page. */
export function corruptPage(pgno: number, place: FilePlace): Error {
  return ltxFault("ltx/invalid", place, `the compressed bytes of page ${pgno} are damaged`);
}
