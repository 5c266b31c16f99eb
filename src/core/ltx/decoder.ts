// Reads an LTX file from a stream of chunks and checks all of it: every rule of the format, the page index
// against the pages, the file's checksum. Pages are handed out while the file is still being read: they are proved
// only when `pages()` ends without throwing. Format: docs/formats/ltx.md.
import { assert } from "../base/assert.ts";
import { bytesEqual, viewOf } from "../base/bytes.ts";
import type { Codec, PageKernel } from "../codec/codec.ts";
import { ltxFault } from "./fault.ts";
import type { LtxHeader } from "./header.ts";
import { ltxHeaderSizeBytes } from "./header.ts";
import { InputWindow } from "./input-window.ts";
import type { LtxOpening, OpenLtxOptions } from "./opening.ts";
import { readLtxOpening } from "./opening.ts";
import {
  corruptPage,
  decodeLegacyFrame,
  legacyFrameHeaderSizeBytes,
  readFrameHead,
} from "./page-block.ts";
import { PageIndexWriter } from "./page-index.ts";
import { PageOrder } from "./page-order.ts";
import type { LtxTrailer } from "./trailer.ts";
import {
  checkPostApply,
  checkSnapshotProof,
  decodeTrailer,
  hashedTrailerSizeBytes,
  ltxTrailerSizeBytes,
} from "./trailer.ts";

/**
 * Some pages of a file, in ascending order. All arrays are borrowed until the next batch is asked for; where several readers
 * share pages (`openKernels`), pages and what is computed of them only until another one reads.
 */
export interface PageBatch {
  readonly count: number;
  readonly pgnos: Uint32Array;
  /** `count` pages in a row. */
  readonly pages: Uint8Array;
  /** Page checksums, bit 63 set. */
  readonly checksums: BigUint64Array;
  /** As in `PageKernel`. */
  readonly contentCrcs: BigUint64Array;
  /** The frames as they stand in the file: frame `i` is `frameBytes[frameStarts[i] .. frameStarts[i + 1])`. */
  readonly frameBytes: Uint8Array;
  readonly frameStarts: Uint32Array;
  /** Frames of Litestream 0.5.0 to 0.5.3, which newer readers of single pages do not all understand. */
  readonly isLegacy: boolean;
}

/**
 * Reads the header of the file that `chunks` make up, in pieces of any size. Throws `ltx/short` or `ltx/invalid`,
 * and what `chunks` throws. Iterate `pages()` to the end, or dispose the reader: both end `chunks`.
 */
export async function openLtx(
  codec: Codec,
  chunks: AsyncIterable<Uint8Array>,
  options: OpenLtxOptions,
): Promise<LtxReader> {
  const opening = await readLtxOpening(chunks, options);
  return new LtxReader(opening, codec.openKernel(opening.header.pageSize));
}

/** One file being read. */
export class LtxReader implements AsyncDisposable {
  readonly header: LtxHeader;
  readonly #opening: LtxOpening;
  readonly #kernel: PageKernel;
  readonly #window: InputWindow;
  readonly #view: DataView;
  readonly #pgnos: Uint32Array;
  readonly #frameStarts: Uint32Array;
  readonly #order: PageOrder;
  /** The index as it must be, made from the pages read. */
  readonly #index = new PageIndexWriter();
  #trailer: LtxTrailer | undefined;
  #state: "new" | "reading" | "closed" = "new";

  /** Reads on from `opening`, in a new kernel. It disposes both. */
  constructor(opening: LtxOpening, kernel: PageKernel) {
    const { header, bytes } = opening;
    kernel.hash(bytes.subarray(0, ltxHeaderSizeBytes));
    this.header = header;
    this.#opening = opening;
    this.#kernel = kernel;
    this.#window = new InputWindow(kernel.frames, opening.rest, {
      rest: bytes.subarray(ltxHeaderSizeBytes),
      offset: ltxHeaderSizeBytes,
      signal: opening.signal,
    });
    this.#view = viewOf(kernel.frames);
    this.#pgnos = new Uint32Array(kernel.maxPages);
    this.#frameStarts = new Uint32Array(kernel.maxPages + 1);
    this.#order = new PageOrder(header);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#kernel[Symbol.dispose]();
    await this.#opening[Symbol.asyncDispose]();
  }

  /** The trailer, once `pages()` has ended. */
  get trailer(): LtxTrailer {
    assert(this.#trailer !== undefined, "the trailer is asked for before the file has been read");
    return this.#trailer;
  }

  /**
   * All pages, once. Throws `ltx/short`, `ltx/invalid`, `ltx/order` or `ltx/checksum`, naming the file and the
   * byte; the last one only at the end, so what was handed out before is not to be trusted until then.
   */
  async *pages(): AsyncGenerator<PageBatch, void> {
    assert(this.#state === "new", "a file is read twice");
    this.#state = "reading";
    try {
      for (;;) {
        const step = this.#nextStep();
        if (step.kind === "end") break;
        if (step.kind === "batch") yield step.batch;
        else await this.#fill(step.bytes);
      }
      await this.#readEnd();
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  /** Decodes what the window holds, at most one batch. */
  #nextStep():
    | { readonly kind: "batch"; readonly batch: PageBatch }
    | { readonly kind: "end" }
    | { readonly kind: "need"; readonly bytes: number } {
    const window = this.#window;
    const { pageSize } = this.header;
    let at = window.at;
    let count = 0;
    for (; count < this.#kernel.maxPages; count++) {
      const place = this.#placeOf(at);
      const head = readFrameHead(this.#view, at, window.end, pageSize, place);
      if (head.kind === "frame" && head.sizeBytes <= window.end - at) {
        this.#noteFrame(count, head.pgno, at, head.sizeBytes);
        at += head.sizeBytes;
        continue;
      }
      // Anything but a whole frame ends the batch; it is looked at again when it comes first.
      if (count > 0) break;
      if (head.kind === "end") return head;
      if (head.kind === "legacy") return this.#decodeLegacy(head.pgno);
      return { kind: "need", bytes: head.kind === "frame" ? head.sizeBytes : window.available + 1 };
    }
    const decoded = this.#kernel.decodePages(count, window.at);
    if (decoded < count) {
      const place = this.#placeOf(this.#frameStarts[decoded] ?? 0);
      throw corruptPage(this.#pgnos[decoded] ?? 0, place);
    }
    window.at = at;
    return { kind: "batch", batch: this.#batch(count, false) };
  }

  #decodeLegacy(
    pgno: number,
  ): { readonly kind: "batch"; readonly batch: PageBatch } | { kind: "need"; bytes: number } {
    const { at, end } = this.#window;
    const kernel = this.#kernel;
    const page = kernel.pages.subarray(0, this.header.pageSize);
    const sizeBytes = decodeLegacyFrame(kernel.frames.subarray(at, end), page, this.#placeOf(at));
    if (sizeBytes === undefined) return { kind: "need", bytes: this.#window.available + 1 };
    this.#noteFrame(0, pgno, at, sizeBytes);
    kernel.hashPage(0, at, legacyFrameHeaderSizeBytes);
    this.#window.at += sizeBytes;
    return { kind: "batch", batch: this.#batch(1, true) };
  }

  #noteFrame(index: number, pgno: number, at: number, sizeBytes: number): void {
    const place = this.#placeOf(at);
    const problem = this.#order.accept(pgno);
    if (problem !== undefined) throw ltxFault("ltx/order", place, problem);
    this.#index.add(pgno, place.offset, sizeBytes);
    this.#pgnos[index] = pgno;
    this.#frameStarts[index] = at;
    this.#frameStarts[index + 1] = at + sizeBytes;
  }

  #batch(count: number, isLegacy: boolean): PageBatch {
    return {
      count,
      pgnos: this.#pgnos,
      pages: this.#kernel.pages.subarray(0, count * this.header.pageSize),
      checksums: this.#kernel.checksums,
      contentCrcs: this.#kernel.contentCrcs,
      frameBytes: this.#kernel.frames,
      frameStarts: this.#frameStarts,
      isLegacy,
    };
  }

  async #readEnd(): Promise<void> {
    const missing = this.#order.missing();
    if (missing !== undefined) throw ltxFault("ltx/order", this.#placeOf(this.#window.at), missing);
    this.#kernel.hash(this.#consume(legacyFrameHeaderSizeBytes));
    await this.#readIndex();
    await this.#fill(ltxTrailerSizeBytes);
    const place = this.#placeOf(this.#window.at);
    const bytes = this.#consume(ltxTrailerSizeBytes);
    this.#kernel.hash(bytes.subarray(0, hashedTrailerSizeBytes));
    const trailer = decodeTrailer(bytes);
    if (trailer.fileChecksum !== this.#kernel.fileChecksum) {
      const checksumPlace = this.#placeOf(this.#window.at - hashedTrailerSizeBytes);
      throw ltxFault("ltx/checksum", checksumPlace, "the file checksum does not match");
    }
    checkPostApply(trailer.postApplyChecksum, this.header, this.#kernel.pagesChecksum, place);
    checkSnapshotProof(this.header, this.#kernel.pagesChecksum, place);
    if (await this.#window.fill(1)) {
      const end = this.#placeOf(this.#window.at);
      throw ltxFault("ltx/invalid", end, "there are bytes after the trailer");
    }
    this.#trailer = trailer;
  }

  /** The index must be, byte for byte, what the pages make it. */
  async #readIndex(): Promise<void> {
    const expected = this.#index.finish();
    for (let done = 0; done < expected.length;) {
      await this.#fill(1);
      const place = this.#placeOf(this.#window.at);
      const part = this.#consume(Math.min(this.#window.available, expected.length - done));
      if (!bytesEqual(part, expected.subarray(done, done + part.length))) {
        const differsAt = part.findIndex((byte, i) => byte !== expected[done + i]);
        const differs = { name: place.name, offset: place.offset + differsAt };
        throw ltxFault("ltx/invalid", differs, "the page index does not agree with the pages");
      }
      done += part.length;
    }
    this.#kernel.hash(expected);
  }

  async #fill(bytes: number): Promise<void> {
    if (await this.#window.fill(bytes)) return;
    const place = this.#placeOf(this.#window.end);
    throw ltxFault("ltx/short", place, "the file ends before its trailer");
  }

  /** The next bytes, which are there. Borrowed until the window moves. */
  #consume(bytes: number): Uint8Array {
    const { at } = this.#window;
    this.#window.at += bytes;
    return this.#window.bytes.subarray(at, at + bytes);
  }

  #placeOf(at: number): { readonly name: string; readonly offset: number } {
    return { name: this.#opening.name, offset: this.#window.offset + at - this.#window.at };
  }
}
