// Brings frames into the cache: from the persistent cache if there is one, else from the store, few requests for many frames.
// A frame that is on its way is never asked for again. Each page is decoded and checked as its bytes arrive; one that is
// damaged is fetched once more before its reader gets the error.
import { type Waiting, orAborted } from "../base/async.ts";
import { HeadwaterError, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Codec } from "../codec/codec.ts";
import { openLtx } from "../ltx/decoder.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { corruptPage } from "./corrupt-page.ts";
import type { FileTable } from "./file-table.ts";
import type { FrameCache } from "./frame-cache.ts";
import { type DamagedFrame, type FileBytes, FrameDecoder } from "./frame-decoder.ts";
import { type FrameRef, isSameFrame } from "./frame-table.ts";
import type { FileProof, PageProofs } from "./page-proofs.ts";
import { FrameKeeper } from "./frame-keeper.ts";
import type { PersistentFrames } from "./persistent-frames.ts";
import { openRange, readRange } from "./read-range.ts";
import {
  type FrameRequest,
  type RequestLimits,
  type WantedFrame,
  planRequests,
} from "./request-plan.ts";

export interface FrameLoaderOptions {
  readonly store: ObjectStore;
  readonly codec: Codec;
  readonly files: FileTable;
  readonly cache: FrameCache;
  readonly proofs: PageProofs;
  readonly logger: Logger;
  readonly limits: LoaderLimits;
  readonly persistent?: PersistentFrames | undefined;
  /** Sees every page that comes in. Borrowed until it returns. */
  readonly onPage: (wanted: WantedFrame, page: Uint8Array) => void;
}

export interface LoaderLimits extends RequestLimits {
  /** Requests at once. */
  readonly maxRequests: number;
  /** Of these, requests that nobody waits for yet: a reader never queues behind all of its read-ahead. */
  readonly maxAheadRequests: number;
  /** Frames on their way; read-ahead beyond is dropped. */
  readonly maxFramesInFlight: number;
}

/** A frame on its way. */
interface PendingFrame extends WantedFrame {
  isMarked: boolean;
  readonly done: PromiseWithResolvers<void>;
}

export interface LoadOptions {
  /** The frame somebody waits for; all others are read ahead. */
  readonly urgent?: FrameRef | undefined;
  /** The frame whose first read is told. */
  readonly marked?: FrameRef | undefined;
}

export class FrameLoader implements AsyncDisposable {
  readonly #options: FrameLoaderOptions;
  readonly #decoder: FrameDecoder;
  readonly #keeper: FrameKeeper | undefined;
  readonly #slots: Semaphore;
  readonly #aheadSlots: Semaphore;
  readonly #pending = new Map<string, PendingFrame>();
  readonly #running = new Set<Promise<void>>();
  readonly #ended = new AbortController();

  constructor(options: FrameLoaderOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder(options.codec, options.cache.pageSize);
    const { persistent, files, logger } = options;
    if (persistent !== undefined) this.#keeper = new FrameKeeper({ persistent, files, logger });
    this.#slots = new Semaphore(options.limits.maxRequests);
    this.#aheadSlots = new Semaphore(options.limits.maxAheadRequests);
  }

  /** Ends all requests and waits until they have ended. Who waits for a frame gets the reason. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(new HeadwaterError("view/closed", "The replica was closed. Open it again."));
    await Promise.allSettled(this.#running);
    this.#decoder[Symbol.dispose]();
  }

  get isClosed(): boolean {
    return this.#ended.signal.aborted;
  }

  /** The files that frames on their way lie in. */
  get filesInFlight(): ReadonlySet<number> {
    return new Set([...this.#pending.values()].map(({ frame }) => frame.file));
  }

  /** Whether the frame is on its way. */
  isPending(frame: FrameRef): boolean {
    return this.#pending.has(nameOf(frame));
  }

  /** Resolves when a frame that was loaded or is on its way has come in; at once for any other. */
  async wait(frame: FrameRef, { signal }: Waiting): Promise<void> {
    const pending = this.#pending.get(nameOf(frame));
    if (pending !== undefined) await orAborted(pending.done.promise, { signal });
  }

  /** Starts to load what is neither there nor on its way. Fails for whoever waits, and for nobody else. */
  load(wanted: readonly WantedFrame[], { urgent, marked }: LoadOptions): void {
    this.#ended.signal.throwIfAborted();
    const missing: PendingFrame[] = [];
    for (const one of wanted) {
      const isMarked = marked !== undefined && isSameFrame(one.frame, marked);
      const isUrgent = urgent !== undefined && isSameFrame(one.frame, urgent);
      const missed = this.#announce(one, { isMarked, isUrgent });
      if (missed !== undefined) missing.push(missed);
    }
    if (missing.length > 0) this.#follow(this.#loadAll(missing, urgent));
  }

  /**
   * Takes in all pages of a file that was read in whole, once the whole has proved itself. `wanted` is its page index.
   * Throws what the decoder finds wrong.
   */
  async seed(
    wanted: readonly WantedFrame[],
    { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
  ): Promise<void> {
    const { codec, cache, onPage } = this.#options;
    const { pageSize } = cache;
    const pages: Uint8Array[] = [];
    const reader = await openLtx(codec, chunksOf(bytes), { name, signal: this.#ended.signal });
    for await (const { count, pages: batch } of reader.pages()) {
      for (let i = 0; i < count; i++) pages.push(batch.slice(i * pageSize, (i + 1) * pageSize));
    }
    for (const [index, one] of wanted.entries()) {
      const page = pages[index];
      if (page === undefined || cache.has(one.frame)) continue;
      cache.put(one.frame, page);
      onPage(one, page);
    }
  }

  /** Takes in one frame that came another way than by its file, and is known to be unaltered. False if it is of no use. */
  takeIn(one: WantedFrame, bytes: Uint8Array): boolean {
    if (this.isClosed || this.#options.cache.has(one.frame)) return false;
    const pending = { ...one, isMarked: false, done: Promise.withResolvers<void>() };
    const { file, offset } = one.frame;
    const name = this.#options.files.get(file).key;
    return this.#accept([pending], { name, offset, bytes }, undefined).length === 0;
  }

  /** Resolves when every request that has begun is over. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #announce(
    one: WantedFrame,
    { isMarked, isUrgent }: { readonly isMarked: boolean; readonly isUrgent: boolean },
  ): PendingFrame | undefined {
    const name = nameOf(one.frame);
    const known = this.#pending.get(name);
    if (known !== undefined) {
      known.isMarked ||= isMarked;
      return undefined;
    }
    if (this.#options.cache.has(one.frame)) {
      if (isMarked) this.#options.cache.mark(one.frame);
      return undefined;
    }
    const isFull = this.#pending.size >= this.#options.limits.maxFramesInFlight;
    if (isFull && !isUrgent) return undefined;
    const pending = { ...one, isMarked, done: Promise.withResolvers<void>() };
    // Nobody may wait for it.
    pending.done.promise.catch(() => undefined);
    this.#pending.set(name, pending);
    return pending;
  }

  #follow(work: Promise<void>): void {
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  /** Never rejects: what fails is told to those who wait. */
  async #loadAll(missing: readonly PendingFrame[], urgent: FrameRef | undefined): Promise<void> {
    const left = await this.#takeKept(missing);
    const requests = planRequests(left, this.#options.limits);
    const isUrgent = ({ frames }: FrameRequest): boolean =>
      urgent !== undefined && frames.some(({ frame }) => isSameFrame(frame, urgent));
    await Promise.all(requests.map((request) => this.#request(request, isUrgent(request))));
  }

  /** The frames that the persistent cache does not have. */
  async #takeKept(missing: readonly PendingFrame[]): Promise<readonly PendingFrame[]> {
    const keeper = this.#keeper;
    if (keeper === undefined) return missing;
    const { signal } = this.#ended;
    const left: PendingFrame[] = [];
    await Promise.all(
      missing.map(async (one) => {
        const bytes = await keeper.take(one.frame, { signal });
        const isTaken = bytes !== undefined && (await this.#acceptKept(one, bytes));
        if (!isTaken) left.push(one);
      }),
    );
    return left;
  }

  async #acceptKept(one: PendingFrame, bytes: Uint8Array): Promise<boolean> {
    const { files, proofs, logger } = this.#options;
    try {
      const proof = await proofs.of(one.frame.file, { signal: this.#ended.signal });
      const { key: name } = files.get(one.frame.file);
      const { offset } = one.frame;
      return this.#accept([one], { name, offset, bytes }, proof).length === 0;
    } catch (error) {
      // The request that follows meets it again, and tells who waits.
      logger.log("warn", "view.checksums-failed", { error: messageOf(error) });
      return false;
    }
  }

  async #request(request: FrameRequest<PendingFrame>, isUrgent: boolean): Promise<void> {
    const { signal } = this.#ended;
    const read = (): Promise<void> => this.#slots.run(() => this.#read(request), { signal });
    try {
      await (isUrgent ? read() : this.#aheadSlots.run(read, { signal }));
    } catch (error) {
      for (const one of request.frames) this.#settle(one, { error });
    }
  }

  /** One ranged read; frames are taken in as soon as they are whole. */
  async #read({ file, offset, length, frames }: FrameRequest<PendingFrame>): Promise<void> {
    const { store, files, proofs } = this.#options;
    const { signal } = this.#ended;
    const source = files.get(file);
    const proving = proofs.of(file, { signal });
    // Awaited with the first bytes, or a body that nobody reads would keep its connection; until then its failure is nobody's.
    proving.catch(() => undefined);
    const { body } = await openRange(store, source, { offset, length, signal });
    const bytes = new Uint8Array(length);
    const damaged: PendingFrame[] = [];
    let filled = 0;
    let next = 0;
    for await (const chunk of body) {
      const proof = await proving;
      bytes.set(chunk.subarray(0, length - filled), filled);
      filled = Math.min(length, filled + chunk.length);
      const whole = frames.slice(next).filter(({ frame }) => endOf(frame) <= offset + filled);
      next += whole.length;
      const bad = this.#accept(whole, { name: source.key, offset, bytes }, proof);
      damaged.push(...bad.map(({ one }) => one));
    }
    const again = new Set([...damaged, ...frames.slice(next)]);
    for (const one of again) await this.#readAgain(one, await proving);
    // Within the request's slot, which bounds what waits to be kept.
    const kept = frames.filter((one) => !again.has(one));
    await this.#keeper?.keep(kept, { bytes, offset }, { signal });
  }

  async #readAgain(one: PendingFrame, proof: FileProof | undefined): Promise<void> {
    const { store, files } = this.#options;
    const { signal } = this.#ended;
    const file = files.get(one.frame.file);
    const { offset, sizeBytes: length } = one.frame;
    const bytes = await readRange(store, file, { offset, length, signal });
    const [bad] = this.#accept([one], { name: file.key, offset, bytes }, proof);
    if (bad === undefined) return;
    this.#settle(one, { error: corruptPage(one, file.key, bad.cause) });
  }

  /** Decodes and checks pages, takes them in and tells those who wait. Returns those that are damaged. */
  #accept(
    frames: readonly PendingFrame[],
    source: FileBytes,
    proof: FileProof | undefined,
  ): readonly DamagedFrame<PendingFrame>[] {
    const { cache, onPage } = this.#options;
    const take = (one: PendingFrame, page: Uint8Array): void => {
      cache.put(one.frame, page, { isMarked: one.isMarked });
      onPage(one, page);
      this.#settle(one);
    };
    return this.#decoder.decode(frames, source, { proof, take });
  }

  #settle(one: PendingFrame, failed?: { readonly error: unknown }): void {
    const name = nameOf(one.frame);
    if (this.#pending.get(name) === one) this.#pending.delete(name);
    if (failed === undefined) one.done.resolve();
    else one.done.reject(failed.error);
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function endOf({ offset, sizeBytes }: FrameRef): number {
  return offset + sizeBytes;
}

function nameOf({ file, offset }: FrameRef): string {
  return `${file}:${offset}`;
}
