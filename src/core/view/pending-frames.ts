// The frames that are on their way to the cache, and who waits for them.
import { type Waiting, orAborted } from "../base/async.ts";
import type { FrameCache } from "./frame-cache.ts";
import type { FrameRef } from "./frame-table.ts";
import type { WantedFrame } from "./request-plan.ts";

/** A frame on its way. */
export interface PendingFrame extends WantedFrame {
  isMarked: boolean;
  readonly done: PromiseWithResolvers<void>;
  /** Resolves when all that a scan asked for with it has come in or failed. */
  readonly window: Promise<void> | undefined;
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
  readonly #frames = new Map<string, PendingFrame>();

  constructor(options: PendingFramesOptions) {
    this.#options = options;
  }

  /** The files that they lie in. */
  get files(): ReadonlySet<number> {
    return new Set([...this.#frames.values()].map(({ frame }) => frame.file));
  }

  has(frame: FrameRef): boolean {
    return this.#frames.has(nameOf(frame));
  }

  /** From now on the frame is on its way, until it is settled. `undefined` if it was so before, or is there. */
  announce(
    { pgno, frame }: WantedFrame,
    { isMarked = false, isUrgent = false, window }: AnnounceOptions,
  ): PendingFrame | undefined {
    const { cache, maxFrames } = this.#options;
    const name = nameOf(frame);
    const known = this.#frames.get(name);
    if (known !== undefined) {
      known.isMarked ||= isMarked;
      return undefined;
    }
    if (cache.has(frame)) {
      if (isMarked) cache.mark(frame);
      return undefined;
    }
    if (this.#frames.size >= maxFrames && !isUrgent) return undefined;
    const pending = { pgno, frame, isMarked, window, done: Promise.withResolvers<void>() };
    // Nobody may wait for it.
    pending.done.promise.catch(() => undefined);
    this.#frames.set(name, pending);
    return pending;
  }

  /**
   * Resolves when the frame is settled; at once if it is not on its way. Of the window of a scan all is settled then: its
   * reader wants the rest next, and to wait for each page as it comes costs more than the page. Throws what it failed with.
   */
  async wait(frame: FrameRef, { signal }: Waiting): Promise<void> {
    const pending = this.#frames.get(nameOf(frame));
    if (pending === undefined) return;
    if (pending.window !== undefined) await orAborted(pending.window, { signal });
    await orAborted(pending.done.promise, { signal });
  }

  /** It has come in, or failed. */
  settle(one: PendingFrame, failed?: { readonly error: unknown }): void {
    const name = nameOf(one.frame);
    if (this.#frames.get(name) === one) this.#frames.delete(name);
    if (failed === undefined) one.done.resolve();
    else one.done.reject(failed.error);
  }
}

function nameOf({ file, offset }: FrameRef): string {
  return `${file}:${offset}`;
}
