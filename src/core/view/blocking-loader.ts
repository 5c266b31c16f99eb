// Brings frames into the cache while its caller stands still, as `FrameLoader` does for callers that wait: the same requests,
// decoded and checked in the same way, one after the other.
import { must } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import { corruptPage } from "./corrupt-page.ts";
import { type DamagedFrame, type FileBytes, FrameDecoder } from "./frame-decoder.ts";
import type { FrameLoaderOptions } from "./frame-loader.ts";
import { type FrameRef, isSameFrame } from "./frame-table.ts";
import type { FileProof } from "./page-proofs.ts";
import { readRangeNow } from "./read-range.ts";
import { type FrameRequest, type WantedFrame, planRequests } from "./request-plan.ts";

export type BlockingLoaderOptions = Omit<FrameLoaderOptions, "store" | "logger" | "persistent"> & {
  readonly reads: BlockingReads;
};

/** Requests after the one that is wanted, which all that goes on has to wait for. */
const maxRequestsAhead = 15;

export class BlockingLoader implements Disposable {
  readonly #options: BlockingLoaderOptions;
  readonly #decoder: FrameDecoder;

  constructor(options: BlockingLoaderOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder(options.codec, options.cache.pageSize);
  }

  [Symbol.dispose](): void {
    this.#decoder[Symbol.dispose]();
  }

  /**
   * Loads frames, of which `urgent` is wanted now: for that one the errors are thrown, `view/corrupt-page` and what the store
   * throws; others that fail are met again when they are wanted.
   */
  load(wanted: readonly WantedFrame[], urgent: FrameRef): void {
    const { cache, limits } = this.#options;
    const isUrgent = ({ frame }: WantedFrame): boolean => isSameFrame(frame, urgent);
    const missing = wanted.filter((one) => isUrgent(one) || !cache.has(one.frame));
    const requests = planRequests(missing, limits);
    const first = must(
      requests.find(({ frames }) => frames.some(isUrgent)),
      "urgent request",
    );
    for (const one of this.#read(first)) if (isUrgent(one)) this.#readAgain(one);
    const ahead = inOrderOf(
      missing,
      requests.filter((request) => request !== first),
    );
    try {
      for (const request of ahead.slice(0, maxRequestsAhead)) this.#read(request);
    } catch (error) {
      if (!(error instanceof HeadwaterError)) throw error;
    }
  }

  /** One ranged read. Returns the frames that are damaged. */
  #read({ file, offset, length, frames }: FrameRequest): readonly WantedFrame[] {
    const { reads, files } = this.#options;
    const source = files.get(file);
    const proof = this.#proofOf(file);
    const bytes = readRangeNow(reads, source, { offset, length });
    const damaged = this.#accept(frames, { name: source.key, offset, bytes }, proof);
    return damaged.map(({ one }) => one);
  }

  #readAgain(one: WantedFrame): void {
    const { reads, files } = this.#options;
    const file = files.get(one.frame.file);
    const { offset, sizeBytes: length } = one.frame;
    const bytes = readRangeNow(reads, file, { offset, length });
    const proof = this.#proofOf(one.frame.file);
    const [bad] = this.#accept([one], { name: file.key, offset, bytes }, proof);
    if (bad !== undefined) throw corruptPage(one, file.key, bad.cause);
  }

  #proofOf(file: number): FileProof | undefined {
    const { proofs, reads } = this.#options;
    return proofs.now(file, reads);
  }

  #accept(
    frames: readonly WantedFrame[],
    source: FileBytes,
    proof: FileProof | undefined,
  ): readonly DamagedFrame<WantedFrame>[] {
    const { cache, onPage } = this.#options;
    const take = (one: WantedFrame, page: Uint8Array): void => {
      cache.put(one.frame, page);
      onPage(one, page);
    };
    return this.#decoder.decode(frames, source, { proof, take });
  }
}

/** Requests by which of the frames they bring first. */
function inOrderOf(
  wanted: readonly WantedFrame[],
  requests: readonly FrameRequest[],
): readonly FrameRequest[] {
  const indexOf = new Map(wanted.map((one, index) => [one, index]));
  const placeOf = ({ frames }: FrameRequest): number =>
    Math.min(...frames.map((one) => indexOf.get(one) ?? 0));
  return requests.toSorted((a, b) => placeOf(a) - placeOf(b));
}
