// Keeps an open replica at the newest state: asks again and again, at most once a second, less often while nothing changes,
// or while a primary tells what is new.
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { Wake } from "../base/wake.ts";
import type { Logger } from "../base/log.ts";
import type { ReplicaPages } from "./replica-pages.ts";

/** The pause grows by half for each time that nothing was new. */
const pauseMs = { least: 1000, most: 10_000, growth: 1.5 } as const;

export interface FollowLoopOptions {
  readonly pages: ReplicaPages;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Runs until it is disposed. A store that does not answer is asked again; the state that is known stays. */
export class FollowLoop implements AsyncDisposable {
  readonly #options: FollowLoopOptions;
  readonly #stop = new AbortController();
  readonly #wake = new Wake();
  #isTold = false;
  readonly #running: Promise<void>;

  constructor(options: FollowLoopOptions) {
    this.#options = options;
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

  /** Asks now. */
  hurry(): void {
    this.#wake.wake();
  }

  async #run(): Promise<void> {
    const { pages, clock, logger } = this.#options;
    const { signal } = this.#stop;
    let waitMs: number = pauseMs.least;
    while (!signal.aborted) {
      let isNew = false;
      await this.#wake.wait(this.#isTold ? pauseMs.most : waitMs, { clock, signal });
      if (signal.aborted) return;
      try {
        isNew = await pages.refresh({ signal });
      } catch (error) {
        if (signal.aborted) return;
        logger.log("warn", "replica.follow-failed", { error: messageOf(error) });
      }
      waitMs = isNew ? pauseMs.least : Math.min(pauseMs.most, waitMs * pauseMs.growth);
    }
  }
}
