// Writes an LTX file: header, frames, page index, trailer. Enforces every rule of the format while doing so,
// because nobody will read the file before it is the only copy. Format: docs/formats/ltx.md.
import { assert } from "../base/assert.ts";
import { concatBytes, viewOf } from "../base/bytes.ts";
import type { Codec, PageKernel } from "../codec/codec.ts";
import { frameHeaderSizeBytes } from "../codec/kernel-areas.ts";
import { ltxFault } from "./fault.ts";
import type { LtxHeader } from "./header.ts";
import { encodeHeader } from "./header.ts";
import { legacyFrameHeaderSizeBytes, ltxFrameLayout } from "./page-block.ts";
import { PageIndexWriter } from "./page-index.ts";
import { PageOrder } from "./page-order.ts";
import {
  checkPostApply,
  checkSnapshotProof,
  encodeTrailer,
  hashedTrailerSizeBytes,
} from "./trailer.ts";

/** Encodes one file, page batch by page batch. Dispose it, finished or not. */
export class LtxEncoder implements Disposable {
  /** Most pages that one call takes. */
  readonly maxPagesPerCall: number;
  /**
   * The encoder's own room for `maxPagesPerCall` pages. Filling it and passing the filled part to `encodePages`
   * saves a copy; any other array works too.
   */
  readonly pageBuffer: Uint8Array;
  readonly #header: LtxHeader;
  readonly #kernel: PageKernel;
  readonly #framesView: DataView;
  readonly #order: PageOrder;
  readonly #index = new PageIndexWriter();
  /** Bytes at the start of `kernel.frames` that wait for the next output: the header, copied frames. */
  #pendingBytes: number;
  /** How many frames at the end of them have been copied, and not hashed yet. */
  #copiedFrames = 0;
  #copiedAt = 0;
  #sizeBytes = 0;
  #isOpen = true;

  /** Throws `ltx/invalid` for a header that the format forbids. */
  constructor(codec: Codec, header: LtxHeader) {
    const bytes = encodeHeader(header);
    this.#header = header;
    this.#order = new PageOrder(header);
    this.#kernel = codec.openKernel(header.pageSize);
    this.#framesView = viewOf(this.#kernel.frames);
    this.maxPagesPerCall = this.#kernel.maxPages;
    this.pageBuffer = this.#kernel.pages;
    this.#kernel.hash(bytes);
    this.#kernel.frames.set(bytes);
    this.#pendingBytes = bytes.length;
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) this.#kernel[Symbol.dispose]();
    this.#isOpen = false;
  }

  /** Bytes returned so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** XOR of the checksums of the pages so far, bit 63 set. For a snapshot, at the end: the database checksum. */
  get pagesChecksum(): bigint {
    return this.#kernel.pagesChecksum;
  }

  /**
   * Encodes pages `pgnos[from .. from + count)`, which lie in a row in `pages`. `count` is at most
   * `maxPagesPerCall`. Returns file bytes, borrowed until the next call; those of the first call begin with the
   * header. Throws `ltx/order` for a page that may not come next; the encoder is then of no more use.
   */
  encodePages(pgnos: Uint32Array, from: number, count: number, pages: Uint8Array): Uint8Array {
    const kernel = this.#kernel;
    assert(this.#isOpen, "an encoder is used after its end");
    assert(count <= kernel.maxPages, "too many pages in one call");
    assert(this.#copiedFrames === 0, "copied frames have not been flushed");
    assert(pages.length === count * kernel.pageSize, "the pages do not have the announced length");
    for (let i = 0; i < count; i++) {
      const pgno = pgnos[from + i] ?? 0;
      this.#checkOrder(pgno);
      kernel.pgnos[i] = pgno;
    }
    const isInPlace =
      pages.buffer === kernel.pages.buffer && pages.byteOffset === kernel.pages.byteOffset;
    if (!isInPlace) kernel.pages.set(pages);
    const start = this.#pendingBytes;
    const end = kernel.encodePages(count, start);
    let at = start;
    for (let i = 0; i < count; i++) {
      const blockBytes = this.#framesView.getUint32(at + ltxFrameLayout.size[0]);
      at = this.#noteFrame(kernel.pgnos[i] ?? 0, at, frameHeaderSizeBytes + blockBytes);
    }
    return this.#take(end);
  }

  /** Whether a frame of `sizeBytes` can be copied before the next `flush`. */
  hasRoom(sizeBytes: number): boolean {
    const { frames, maxPages } = this.#kernel;
    return this.#copiedFrames < maxPages && this.#pendingBytes + sizeBytes <= frames.length;
  }

  /**
   * Takes over a sized frame from another file without compressing it again, nor hashing its page: `contentCrc` is what its
   * decoder found. `flush` returns what has come together. Throws like `encodePages`.
   */
  copyFrame(pgno: number, frame: Uint8Array, contentCrc: bigint): void {
    const kernel = this.#kernel;
    assert(this.#isOpen && this.hasRoom(frame.length), "a frame is copied without room for it");
    this.#checkOrder(pgno);
    const at = this.#pendingBytes;
    if (this.#copiedFrames === 0) this.#copiedAt = at;
    kernel.frames.set(frame, at);
    kernel.contentCrcs[this.#copiedFrames] = contentCrc;
    this.#copiedFrames++;
    this.#pendingBytes = this.#noteFrame(pgno, at, frame.length);
  }

  /** The frames copied since the last output. Borrowed until the next call. */
  flush(): Uint8Array {
    this.#hashCopied();
    return this.#take(this.#pendingBytes);
  }

  /**
   * Ends the file: returns its last bytes (all of it if no page was encoded). `postApplyChecksum` is for headers
   * without `noChecksum`, which Headwater reads but does not put into replicas. Throws `ltx/order` for a snapshot
   * that lacks pages, `ltx/checksum` for one whose pages are not the database that its proof names.
   */
  finish(postApplyChecksum = 0n): Uint8Array<ArrayBuffer> {
    const kernel = this.#kernel;
    assert(this.#isOpen, "an encoder is finished twice");
    this.#hashCopied();
    const place = { name: "new LTX file", offset: this.#sizeBytes };
    const missing = this.#order.missing();
    if (missing !== undefined) throw ltxFault("ltx/order", place, missing);
    checkPostApply(postApplyChecksum, this.#header, kernel.pagesChecksum, place);
    checkSnapshotProof(this.#header, kernel.pagesChecksum, place);
    const head = kernel.frames.slice(0, this.#pendingBytes);
    const end = new Uint8Array(legacyFrameHeaderSizeBytes);
    const index = this.#index.finish();
    const unsigned = encodeTrailer({ postApplyChecksum, fileChecksum: 0n });
    kernel.hash(end);
    kernel.hash(index);
    kernel.hash(unsigned.subarray(0, hashedTrailerSizeBytes));
    const trailer = encodeTrailer({ postApplyChecksum, fileChecksum: kernel.fileChecksum });
    const rest = concatBytes([head, end, index, trailer]);
    this.#sizeBytes += rest.length;
    this[Symbol.dispose]();
    return rest;
  }

  #hashCopied(): void {
    this.#kernel.hashFrames(this.#copiedFrames, this.#copiedAt);
    this.#copiedFrames = 0;
  }

  #checkOrder(pgno: number): void {
    const problem = this.#order.accept(pgno);
    if (problem === undefined) return;
    throw ltxFault("ltx/order", { name: "new LTX file", offset: this.#sizeBytes }, problem);
  }

  /** Notes a frame of `sizeBytes` that lies at `at` in the area; returns where the next one lies. */
  #noteFrame(pgno: number, at: number, sizeBytes: number): number {
    this.#index.add(pgno, this.#sizeBytes + at, sizeBytes);
    return at + sizeBytes;
  }

  #take(end: number): Uint8Array {
    this.#pendingBytes = 0;
    this.#sizeBytes += end;
    return this.#kernel.frames.subarray(0, end);
  }
}

/** Reads pages `pgnos[from .. from + count)` into `into`, in a row. */
export type PageSource = (
  pgnos: Uint32Array,
  from: number,
  count: number,
  into: Uint8Array,
) => void | Promise<void>;

/**
 * The file with pages `pgnos` (ascending), as chunks of some hundred KiB, each borrowed until the next. Throws
 * `ltx/invalid` or `ltx/order` for what the format forbids, and what `readPages` throws.
 */
export async function* encodeLtx(
  codec: Codec,
  header: LtxHeader,
  pgnos: Uint32Array,
  readPages: PageSource,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Uint8Array, void> {
  using encoder = new LtxEncoder(codec, header);
  const { pageSize } = header;
  for (let from = 0; from < pgnos.length; from += encoder.maxPagesPerCall) {
    signal?.throwIfAborted();
    const count = Math.min(encoder.maxPagesPerCall, pgnos.length - from);
    const pages = encoder.pageBuffer.subarray(0, count * pageSize);
    await readPages(pgnos, from, count, pages);
    yield encoder.encodePages(pgnos, from, count, pages);
  }
  yield encoder.finish();
}
