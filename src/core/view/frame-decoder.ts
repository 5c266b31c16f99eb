// Decodes and checks frames out of the bytes of one read.
import type { Codec, PageKernel } from "../codec/codec.ts";
import { decodeFrameInto } from "../ltx/page-block.ts";
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

  /** Decodes frames, which lie in the bytes whole. Returns those that are damaged. */
  decode<Wanted extends WantedFrame>(
    frames: readonly Wanted[],
    source: FileBytes,
    options: DecodeFramesOptions<Wanted>,
  ): readonly DamagedFrame<Wanted>[] {
    return frames.flatMap((one) => {
      const cause = this.#decodeOne(one, source, options);
      return cause === undefined ? [] : [{ one, cause }];
    });
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
