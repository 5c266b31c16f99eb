// The whole database at one position, put as a full image or read to be verified while captures and uploads go on: only
// pinning it keeps them waiting. Whatever has to move the position of capture cancels it first, because only one image can
// be pinned.
import { must } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { Capture } from "../capture/capture.ts";
import type { PageSource } from "../capture/capture-types.ts";
import type { HistoryHead } from "./history.ts";
import type { EngineParts } from "./parts.ts";
import { scrub } from "./scrub.ts";
import type { Waiting } from "./waiting.ts";

/** An image at the head, with the checksums of its pages, which later captures do not touch. */
export interface PinnedHead {
  readonly source: PageSource;
  readonly head: HistoryHead;
  readonly table: PageChecksums;
}

/**
 * What is to become of a pinned image, decided while nothing else is staged. The function it returns puts the image
 * somewhere and releases it, whatever happens.
 */
export type PrepareImage = (
  capture: Capture,
  pinned: PinnedHead,
  waiting: Waiting,
) => Promise<(waiting: Waiting) => Promise<void>>;

/** Compares the source with the head and pins it there. Nothing else may stage meanwhile. */
export async function pinHead(
  parts: EngineParts,
  capture: Capture,
  waiting: Waiting,
): Promise<PinnedHead> {
  const source = await scrub(parts, capture, waiting);
  const { head, table } = parts.history;
  const copy = PageChecksums.fromBytes(must(table, "the page-checksum table").toBytes());
  return { source, head: must(head, "the head"), table: copy };
}

export class ImageTaker {
  #running: { readonly abort: AbortController; readonly done: Promise<unknown> } | undefined;

  /**
   * Starts to put the image; `cancel` finds it at once. The promise resolves when the image is put and released; it
   * rejects with `capture/gone` if it was cancelled.
   */
  start(
    put: (waiting: Waiting) => Promise<void>,
    { signal }: Waiting,
  ): { readonly done: Promise<void> } {
    return this.#run(put, { signal });
  }

  /** True while a source is pinned: another cannot be. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Starts to read a pinned source, which is released in the end, as `start` puts one. */
  read<T>(
    source: PageSource,
    work: (waiting: Waiting) => Promise<T>,
    { signal }: Waiting,
  ): { readonly done: Promise<T> } {
    return this.#run(
      async (waiting) => {
        try {
          return await work(waiting);
        } finally {
          source.release();
        }
      },
      { signal },
    );
  }

  #run<T>(
    work: (waiting: Waiting) => Promise<T>,
    { signal }: Waiting,
  ): { readonly done: Promise<T> } {
    const abort = new AbortController();
    const done = work({ signal: AbortSignal.any([signal, abort.signal]) });
    const running = { abort, done };
    this.#running = running;
    const settled = (): void => {
      if (this.#running === running) this.#running = undefined;
    };
    done.then(settled, settled);
    return running;
  }

  /** Gives up the image that is on its way, if there is one; resolves when it is released. */
  async cancel(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    running.abort.abort(
      new HeadwaterError(
        "capture/gone",
        "Reading the whole database was given up: it is compared, or attached anew.",
      ),
    );
    await running.done.catch(() => undefined);
  }
}
