// The frames that are on their way to the cache, and who waits for them.
import { type Waiting, orAborted } from "../base/async.ts";
import type { FrameCache } from "./frame-cache.ts";
import type { FrameRef } from "./frame-table.ts";
import type { WantedFrame } from "./request-plan.ts";

/** A frame on its way. */
export interface PendingFrame extends WantedFrame {
  isMarked: boolean;
  /** Resolves when all that a scan asked for with it has come in or failed. */
  readonly window: Promise<void> | undefined;
  /** Made when somebody waits for it by itself. */
  done: PromiseWithResolvers<void> | undefined;
  failed: FrameFailure | undefined;
  /** A request for it has begun. */
  isAsked: boolean;
}

export interface FrameFailure {
  readonly error: unknown;
}

export interface AnnounceOptions extends Partial<Pick<PendingFrame, "isMarked" | "window">> {
  /** Somebody waits for it: it is not dropped. */
  readonly isUrgent?: boolean;
}

export interface PendingFramesOptions {
  readonly cache: FrameCache;
  /** What is read ahead beyond is dropped. */
  readonly maxFrames: number;
}

export class PendingFrames {
  readonly #options: PendingFramesOptions;
  /** By file, then by offset: thousands come and go in a scan. */
  readonly #frames = new Map<number, Map<number, PendingFrame>>();
  #count = 0;

  constructor(options: PendingFramesOptions) {
    this.#options = options;
  }

  /** The files that they lie in. */
  get files(): ReadonlySet<number> {
    return new Set(this.#frames.keys());
  }

  find({ file, offset }: FrameRef): PendingFrame | undefined {
    return this.#frames.get(file)?.get(offset);
  }

  /** From now on the frame is on its way, until it is settled. `undefined` if it was so before, or is there. */
  announce(
    { pgno, frame }: WantedFrame,
    { isMarked = false, isUrgent = false, window }: AnnounceOptions,
  ): PendingFrame | undefined {
    const { cache, maxFrames } = this.#options;
    const known = this.find(frame);
    if (known !== undefined) {
      known.isMarked ||= isMarked;
      return undefined;
    }
    if (cache.renew(frame, { isMarked })) return undefined;
    if (this.#count >= maxFrames && !isUrgent) return undefined;
    const pending = {
      pgno,
      frame,
      isMarked,
      window,
      done: undefined,
      failed: undefined,
      isAsked: false,
    };
    const others = this.#frames.get(frame.file) ?? new Map<number, PendingFrame>();
    this.#frames.set(frame.file, others.set(frame.offset, pending));
    this.#count++;
    return pending;
  }

  /**
   * Resolves when the frame is settled; at once if it is not on its way. Of the window of a scan all is settled then: its
   * reader wants the rest next, and to wait for each page as it comes costs more than the page. Throws what it failed with.
   */
  async wait(frame: FrameRef, { signal }: Waiting): Promise<void> {
    const pending = this.find(frame);
    if (pending === undefined) return;
    if (pending.window === undefined) {
      pending.done ??= Promise.withResolvers();
      await orAborted(pending.done.promise, { signal });
    } else {
      await orAborted(pending.window, { signal });
    }
    if (pending.failed !== undefined) throw pending.failed.error;
  }

  /** It has come in, or failed. */
  settle(one: PendingFrame, failed?: FrameFailure): void {
    const { file, offset } = one.frame;
    const others = this.#frames.get(file);
    if (others?.get(offset) !== one) return;
    others.delete(offset);
    if (others.size === 0) this.#frames.delete(file);
    this.#count--;
    one.failed = failed;
    one.done?.resolve();
  }
}
