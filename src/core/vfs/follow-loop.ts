// Keeps an open replica at the newest state: asks again and again, at most once a second, less often while nothing changes.
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
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
  readonly #running: Promise<void>;

  constructor(options: FollowLoopOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { pages, clock, logger, onNews } = this.#options;
    const { signal } = this.#stop;
    let waitMs: number = pauseMs.least;
    let listAtMs = clock.monotonicMs() + listIntervalMs;
    while (!signal.aborted) {
      let isNew = false;
      try {
        await clock.sleep(waitMs, { signal });
        const byName = clock.monotonicMs() < listAtMs;
        if (!byName) listAtMs = clock.monotonicMs() + listIntervalMs;
        isNew = await pages.refresh({ signal, byName });
        if (isNew) onNews?.();
      } catch (error) {
        if (signal.aborted) return;
        logger.log("warn", "replica.follow-failed", { error: messageOf(error) });
      }
      waitMs = isNew ? pauseMs.least : Math.min(pauseMs.most, waitMs * pauseMs.growth);
    }
  }
}
