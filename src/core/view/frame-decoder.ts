// Decodes and checks frames out of the bytes of one read. Frames that stand one behind the other, as those of a scan do, go
// through the codec together: a call for each costs more than its page.
import { must } from "../base/assert.ts";
import { streamOf, viewOf } from "../base/bytes.ts";
import type { Codec, PageKernel } from "../codec/codec.ts";
import { openLtx } from "../ltx/decoder.ts";
import type { OpenLtxOptions } from "../ltx/opening.ts";
import { decodeFrameInto, isFrameOf } from "../ltx/page-block.ts";
import type { FileProof } from "./page-proofs.ts";
import type { WantedFrame } from "./request-plan.ts";

/** Part of a file, from `offset` on. */
export interface FileBytes {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A frame that does not hold its page, and why. */
export interface DamagedFrame<Wanted> {
  readonly one: Wanted;
  readonly cause: unknown;
}

export interface DecodeFramesOptions<Wanted> {
  readonly proof: FileProof | undefined;
  /** Gets every page that is sound. Borrowed until it returns. */
  readonly take: (one: Wanted, page: Uint8Array) => void;
}

export class FrameDecoder implements Disposable {
  readonly #kernel: PageKernel;

  constructor(codec: Codec, pageSize: number) {
    this.#kernel = codec.openKernel(pageSize);
  }

  [Symbol.dispose](): void {
    this.#kernel[Symbol.dispose]();
  }

  /** Decodes frames, by offset, which lie in the bytes whole. Returns those that are damaged. */
  decode<Wanted extends WantedFrame>(
    frames: readonly Wanted[],
    source: FileBytes,
    options: DecodeFramesOptions<Wanted>,
  ): readonly DamagedFrame<Wanted>[] {
    const damaged: DamagedFrame<Wanted>[] = [];
    let next = 0;
    for (let one = frames[next]; one !== undefined; one = frames[next]) {
      const taken = this.#decodeRun(frames, next, source, options);
      next += taken;
      if (taken > 0) continue;
      // Alone it says what is wrong with it, or that it is of the old format.
      const cause = this.#decodeOne(one, source, options);
      if (cause !== undefined) damaged.push({ one, cause });
      next++;
    }
    return damaged;
  }

  /** Takes frames that stand one behind the other, as many as the kernel has room for. Returns how many were sound. */
  #decodeRun<Wanted extends WantedFrame>(
    frames: readonly Wanted[],
    from: number,
    { bytes, offset }: FileBytes,
    { proof, take }: DecodeFramesOptions<Wanted>,
  ): number {
    const { pages, checksums, frames: area, pageSize, maxPages } = this.#kernel;
    const view = viewOf(bytes);
    const start = (frames[from]?.frame.offset ?? offset) - offset;
    let end = start;
    let to = from;
    for (; to < frames.length && to - from < maxPages; to++) {
      const one = frames[to];
      if (one === undefined || one.frame.offset !== offset + end) break;
      const { sizeBytes } = one.frame;
      if (end + sizeBytes > bytes.length || end + sizeBytes - start > area.length) break;
      if (!isFrameOf(view, end, { pgno: one.pgno, sizeBytes })) break;
      end += sizeBytes;
    }
    area.set(bytes.subarray(start, end));
    const decoded = to === from ? 0 : this.#kernel.decodePages(to - from, 0);
    for (let index = 0; index < decoded; index++) {
      const one = must(frames[from + index], "decoded frame");
      if (proof?.accepts(one.pgno, checksums[index] ?? 0n) === false) return index;
      take(one, pages.subarray(index * pageSize, (index + 1) * pageSize));
    }
    return decoded;
  }

  /** What is wrong with the frame, if anything. */
  #decodeOne<Wanted extends WantedFrame>(
    one: Wanted,
    { name, bytes, offset }: FileBytes,
    { proof, take }: DecodeFramesOptions<Wanted>,
  ): unknown {
    const { frame } = one;
    const at = frame.offset - offset;
    const place = { name, offset: frame.offset };
    try {
      const part = bytes.subarray(at, at + frame.sizeBytes);
      const { pgno, checksum } = decodeFrameInto(this.#kernel, part, place);
      if (pgno !== one.pgno) return new Error(`The frame holds page ${pgno}.`);
      if (proof?.accepts(pgno, checksum) === false) return new Error("The checksum is another.");
    } catch (error) {
      return error;
    }
    take(one, this.#kernel.pages.subarray(0, this.#kernel.pageSize));
    return undefined;
  }
}

/** All pages of a whole file, in its order, once it has proved itself. Copied. Throws what is wrong with it. */
export async function decodeFile(
  codec: Codec,
  bytes: Uint8Array,
  options: OpenLtxOptions,
): Promise<readonly Uint8Array[]> {
  const all: Uint8Array[] = [];
  const reader = await openLtx(codec, streamOf(bytes), options);
  const { pageSize } = reader.header;
  for await (const { count, pages } of reader.pages()) {
    for (let i = 0; i < count; i++) all.push(pages.slice(i * pageSize, (i + 1) * pageSize));
  }
  return all;
}
