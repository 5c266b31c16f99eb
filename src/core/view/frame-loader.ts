// Brings frames into the cache: from the persistent cache if there is one, else from the store, few requests for many frames.
// A frame that is on its way is never asked for again. Each page is decoded and checked as its bytes arrive; one that is
// damaged is fetched once more before its reader gets the error.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Codec } from "../codec/codec.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { corruptPage } from "./corrupt-page.ts";
import type { FileTable } from "./file-table.ts";
import type { FrameCache } from "./frame-cache.ts";
import { type DamagedFrame, type FileBytes, FrameDecoder, decodeFile } from "./frame-decoder.ts";
import { type FrameRef, isSameFrame } from "./frame-table.ts";
import type { FileProof, PageProofs } from "./page-proofs.ts";
import { FrameKeeper } from "./frame-keeper.ts";
import { type PendingFrame, PendingFrames } from "./pending-frames.ts";
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

export interface LoadOptions {
  /** The frame somebody waits for; all others are read ahead. */
  readonly urgent?: FrameRef | undefined;
  /** The frame whose first read is told: all are the window of a scan. */
  readonly marked?: FrameRef | undefined;
}

export class FrameLoader implements AsyncDisposable {
  readonly #options: FrameLoaderOptions;
  readonly #decoder: FrameDecoder;
  readonly #keeper: FrameKeeper | undefined;
  readonly #slots: Semaphore;
  readonly #aheadSlots: Semaphore;
  readonly #pending: PendingFrames;
  readonly #running = new Set<Promise<void>>();
  readonly #ended = new AbortController();

  constructor(options: FrameLoaderOptions) {
    this.#options = options;
    const { codec, cache, limits, persistent, files, logger } = options;
    this.#pending = new PendingFrames({ cache, maxFrames: limits.maxFramesInFlight });
    this.#decoder = new FrameDecoder(codec, cache.pageSize);
    if (persistent !== undefined) this.#keeper = new FrameKeeper({ persistent, files, logger });
    this.#slots = new Semaphore(limits.maxRequests);
    this.#aheadSlots = new Semaphore(limits.maxAheadRequests);
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
    return this.#pending.files;
  }

  /** Whether the frame is on its way. If so somebody waits for it from now on: it does not queue any longer. */
  hurry(frame: FrameRef): boolean {
    const pending = this.#pending.find(frame);
    if (pending === undefined) return false;
    const { file, offset, sizeBytes: length } = frame;
    const isLeft = pending.isAsked || pending.window !== undefined;
    if (!isLeft) this.#follow(this.#request({ file, offset, length, frames: [pending] }, true));
    return true;
  }

  /** `PendingFrames.wait`. */
  wait(frame: FrameRef, waiting: Waiting): Promise<void> {
    return this.#pending.wait(frame, waiting);
  }

  /** Starts to load what is neither there nor on its way. Fails for whoever waits, and for nobody else. */
  load(wanted: readonly WantedFrame[], { urgent, marked }: LoadOptions): void {
    this.#ended.signal.throwIfAborted();
    const missing: PendingFrame[] = [];
    const whole = marked === undefined ? undefined : Promise.withResolvers<void>();
    for (const one of wanted) {
      const isMarked = marked !== undefined && isSameFrame(one.frame, marked);
      const isUrgent = urgent !== undefined && isSameFrame(one.frame, urgent);
      const missed = this.#pending.announce(one, { isMarked, isUrgent, window: whole?.promise });
      if (missed !== undefined) missing.push(missed);
    }
    if (missing.length > 0) this.#follow(this.#loadAll(missing, urgent).then(whole?.resolve));
  }

  /** Takes in frames out of bytes that are here. One that is damaged is fetched when somebody wants it. */
  take(wanted: readonly WantedFrame[], source: FileBytes): void {
    const missing = wanted.flatMap((one) => this.#pending.announce(one, {}) ?? []);
    if (missing.length > 0) this.#follow(this.#takeAll(missing, source));
  }

  /** Takes in all pages of a file that is here in whole, once it has proved itself. Throws what the decoder finds wrong. */
  async takeFile(wanted: readonly WantedFrame[], { name, bytes }: FileBytes): Promise<void> {
    const { codec, cache, onPage } = this.#options;
    const pages = await decodeFile(codec, bytes, { name, signal: this.#ended.signal });
    for (const [index, one] of wanted.entries()) {
      const page = pages[index];
      if (page === undefined || cache.has(one.frame)) continue;
      cache.put(one.frame, page);
      onPage(one, page);
    }
  }

  /** Takes in one frame that came another way than by its file, and is known to be unaltered. False if it is of no use. */
  takeIn(one: WantedFrame, bytes: Uint8Array): boolean {
    if (this.isClosed) return false;
    const pending = this.#pending.announce(one, {});
    if (pending === undefined) return false;
    const { offset } = one.frame;
    const source = { name: this.#nameOf(one), offset, bytes };
    const isTaken = this.#accept([pending], source, undefined).length === 0;
    if (!isTaken) this.#pending.settle(pending);
    return isTaken;
  }

  /** Resolves when every request that has begun is over. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
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
    const { offset } = one.frame;
    const bad = await this.#acceptHere([one], { name: this.#nameOf(one), offset, bytes });
    return bad.length === 0;
  }

  /** Whoever waits for one that is damaged finds that it is not there, and asks again. */
  async #takeAll(missing: readonly PendingFrame[], source: FileBytes): Promise<void> {
    for (const one of missing) one.isAsked = true;
    const bad = await this.#acceptHere(missing, source);
    for (const one of bad) this.#pending.settle(one);
  }

  /** Accepts frames that did not come from the store. Returns those that have to. */
  async #acceptHere(
    frames: readonly PendingFrame[],
    source: FileBytes,
  ): Promise<readonly PendingFrame[]> {
    const { proofs, logger } = this.#options;
    try {
      const file = frames[0]?.frame.file ?? 0;
      const proof = await proofs.of(file, { signal: this.#ended.signal });
      return this.#accept(frames, source, proof).map(({ one }) => one);
    } catch (error) {
      // The request that follows meets it again, and tells who waits.
      logger.log("warn", "view.checksums-failed", { error: messageOf(error) });
      return frames;
    }
  }

  async #request(request: FrameRequest<PendingFrame>, isUrgent: boolean): Promise<void> {
    const { signal } = this.#ended;
    const read = (): Promise<void> => this.#slots.run(() => this.#read(request), { signal });
    try {
      await (isUrgent ? read() : this.#aheadSlots.run(read, { signal }));
    } catch (error) {
      for (const one of request.frames) this.#pending.settle(one, { error });
    }
  }

  /** One ranged read; frames are taken in as soon as they are whole. */
  async #read({ file, offset, length, frames: all }: FrameRequest<PendingFrame>): Promise<void> {
    const frames = all.filter(({ isAsked }) => !isAsked);
    if (frames.length === 0) return;
    for (const one of frames) one.isAsked = true;
    const { store, files, proofs } = this.#options;
    const { signal } = this.#ended;
    const source = files.get(file);
    const proving = proofs.of(file, { signal });
    // Awaited with the first bytes, or a body that nobody reads would keep its connection; until then its failure is nobody's.
    proving.catch(() => undefined);
    const { body } = await openRange(store, source, { offset, length, signal });
    // A store that gives all at once has copied once already. To keep frames takes a copy that lasts.
    const mayBorrow = this.#keeper === undefined;
    let bytes: Uint8Array | undefined;
    const damaged: PendingFrame[] = [];
    let filled = 0;
    let next = 0;
    for await (const chunk of body) {
      const proof = await proving;
      const isAll = mayBorrow && filled === 0 && chunk.length === length;
      bytes ??= isAll ? chunk : new Uint8Array(length);
      if (!isAll) bytes.set(chunk.subarray(0, length - filled), filled);
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
    if (bytes !== undefined) await this.#keeper?.keep(kept, { bytes, offset }, { signal });
  }

  async #readAgain(one: PendingFrame, proof: FileProof | undefined): Promise<void> {
    const { store, files } = this.#options;
    const { signal } = this.#ended;
    const file = files.get(one.frame.file);
    const { offset, sizeBytes: length } = one.frame;
    const bytes = await readRange(store, file, { offset, length, signal });
    const [bad] = this.#accept([one], { name: file.key, offset, bytes }, proof);
    if (bad === undefined) return;
    this.#pending.settle(one, { error: corruptPage(one, file.key, bad.cause) });
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
      this.#pending.settle(one);
    };
    return this.#decoder.decode(frames, source, { proof, take });
  }

  #nameOf({ frame }: WantedFrame): string {
    return this.#options.files.get(frame.file).key;
  }
}

function endOf({ offset, sizeBytes }: FrameRef): number {
  return offset + sizeBytes;
}
