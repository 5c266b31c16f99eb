// Keeps an open replica at the newest state: asks again and again, at most once a second, less often while nothing changes,
// or while a primary tells what is new.
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { Wake } from "../base/wake.ts";
import type { Logger } from "../base/log.ts";
import type { ReplicaPages } from "./replica-pages.ts";

/** The pause grows by half for each time that nothing was new. */
const pauseMs = { least: 1000, most: 10_000, growth: 1.5 } as const;

/** What the name of the next file does not tell is looked for this often: files merged before they were seen. */
const listIntervalMs = 60_000;

export interface FollowLoopOptions {
  readonly pages: ReplicaPages;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A newer state was found. */
  readonly onNews?: (() => void) | undefined;
}

/** Runs until it is disposed. A store that does not answer is asked again; the state that is known stays. */
export class FollowLoop implements AsyncDisposable {
  readonly #options: FollowLoopOptions;
  readonly #stop = new AbortController();
  readonly #wake = new Wake();
  #isTold = false;
  /** When all is to be listed. Soon again after a listing that had what names could not tell: wide files, if others are pushed to. */
  #listAtMs: number;
  readonly #running: Promise<void>;

  constructor(options: FollowLoopOptions) {
    this.#options = options;
    this.#listAtMs = options.clock.monotonicMs() + listIntervalMs;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Whether somebody else tells what is new. The store is still looked at: it may have another writer. */
  set isTold(isTold: boolean) {
    const isLost = this.#isTold && !isTold;
    this.#isTold = isTold;
    if (isLost) this.hurry();
  }

  /** Asks now, for all that there is. */
  hurry(): void {
    this.#listAtMs = -Infinity;
    this.#wake.wake();
  }

  async #run(): Promise<void> {
    const { pages, clock, logger, onNews } = this.#options;
    const { signal } = this.#stop;
    let waitMs: number = pauseMs.least;
    while (!signal.aborted) {
      let isNew = false;
      await this.#wake.wait(this.#isTold ? pauseMs.most : waitMs, { clock, signal });
      if (signal.aborted) return;
      try {
        const nowMs = clock.monotonicMs();
        const byName = nowMs < this.#listAtMs;
        isNew = await pages.refresh({ signal, byName });
        if (!byName) this.#listAtMs = nowMs + (isNew ? pauseMs.most : listIntervalMs);
        if (isNew) onNews?.();
      } catch (error) {
        if (signal.aborted) return;
        logger.log("warn", "replica.follow-failed", { error: messageOf(error) });
      }
      waitMs = isNew ? pauseMs.least : Math.min(pauseMs.most, waitMs * pauseMs.growth);
    }
  }
}
