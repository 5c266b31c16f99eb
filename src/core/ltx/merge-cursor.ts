// One input of a merge, page by page. Its frames stay where they were read; of a page only the content CRC is kept, because
// the memory it was decoded in belongs to all inputs.
import { must } from "../base/assert.ts";
import type { Codec } from "../codec/codec.ts";
import type { PageCursorPlace } from "./cursor-tree.ts";
import type { LtxReader, PageBatch } from "./decoder.ts";
import { encodePageFrame } from "./page-block.ts";

/** Stands at no page until `load`. */
export class PageCursor implements PageCursorPlace {
  pgno = 0;
  readonly order: number;
  readonly #batches: AsyncIterator<PageBatch>;
  #batch: PageBatch | undefined;
  #index = 0;
  #contentCrcs = new BigUint64Array(0);
  /** Of a page in the old format: its frame in the new one. */
  #newFrame: Uint8Array | undefined;
  readonly #codec: Codec;

  constructor(codec: Codec, reader: LtxReader, order: number) {
    this.#codec = codec;
    this.order = order;
    this.#batches = reader.pages();
  }

  /** Goes to the next page; `false` if there is none in memory. The frame of the last one is then gone. */
  advance(): boolean {
    if (this.#index + 1 >= (this.#batch?.count ?? 0)) return false;
    this.#index++;
    this.pgno = this.#batch?.pgnos[this.#index] ?? 0;
    return true;
  }

  /** Reads on to the next page; `false` at the end, when all of the file has been proved. */
  async load(): Promise<boolean> {
    const next = await this.#batches.next();
    if (next.done === true) return false;
    const batch = next.value;
    this.#batch = batch;
    this.#index = 0;
    this.pgno = batch.pgnos[0] ?? 0;
    if (this.#contentCrcs.length < batch.count) this.#contentCrcs = new BigUint64Array(batch.count);
    this.#contentCrcs.set(batch.contentCrcs.subarray(0, batch.count));
    this.#newFrame = batch.isLegacy
      ? encodePageFrame(this.#codec, this.pgno, batch.pages).frame
      : undefined;
    return true;
  }

  get contentCrc(): bigint {
    return this.#contentCrcs[this.#index] ?? 0n;
  }

  /** The frame, as it stands in the file unless that is of the old format. Borrowed until it moves on. */
  get frame(): Uint8Array {
    if (this.#newFrame !== undefined) return this.#newFrame;
    const { frameBytes, frameStarts } = must(this.#batch, "a frame");
    return frameBytes.subarray(frameStarts[this.#index], frameStarts[this.#index + 1]);
  }
}
