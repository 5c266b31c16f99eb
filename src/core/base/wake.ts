// A pause that somebody may end.
import type { Clock } from "./clock.ts";

export class Wake {
  #isWoken = false;
  #pause: AbortController | undefined;

  /** Ends the pause that there is, or else the next one. */
  wake(): void {
    this.#isWoken = true;
    this.#pause?.abort();
  }

  /** Resolves after `ms`, or when it is woken or the signal aborted. Never rejects. */
  async wait(
    ms: number,
    { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  ): Promise<void> {
    if (ms > 0 && !this.#isWoken) {
      this.#pause = new AbortController();
      const ends = AbortSignal.any([signal, this.#pause.signal]);
      await clock.sleep(ms, { signal: ends }).catch(() => undefined);
      this.#pause = undefined;
    }
    this.#isWoken = false;
  }
}
