// Fetches the interior pages of a replica's b-trees in the background, once the first statement has its answer: from then on a
// lookup is one request, and a scan knows its order. What somebody waits for goes first.
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { View } from "../view/view.ts";

export interface InteriorPrefetchOptions {
  /** The prefetch's from now on. */
  readonly view: Pick<View, "prefetch" | typeof Symbol.dispose>;
  readonly logger: Logger;
}

/** Disposing it ends its requests' being waited for. */
export class InteriorPrefetch implements AsyncDisposable {
  readonly #options: InteriorPrefetchOptions;
  readonly #ended = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: InteriorPrefetchOptions) {
    this.#options = options;
  }

  /** Starts, the first time that it is called. */
  start(): void {
    this.#running ??= this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    if (this.#running === undefined) this.#options.view[Symbol.dispose]();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    using view = this.#options.view;
    const { signal } = this.#ended;
    try {
      await view.prefetch({ signal });
    } catch (error) {
      // Whoever wants such a page fetches it, and hears what is wrong.
      if (!signal.aborted)
        logger.log("info", "replica.prefetch-failed", { error: messageOf(error) });
    }
  }
}
