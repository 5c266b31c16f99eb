// Wakes one loop: whoever has work for it rings, the loop waits for a ring or a deadline.
import { setImmediate as nextTurn } from "node:timers/promises";

/** A timer longer than this overflows. */
const longestTimerMs = 24 * 60 * 60 * 1000;

export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  /** Wakes the loop, now or at its next wait. Rings before that count as one. */
  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /**
   * Resolves at a ring, after `timeoutMs` (`undefined`, `Infinity` = never) or a day of it, or when the signal is aborted:
   * whoever waits looks again what is due. A loop for which something is always due lets others have a turn each time.
   */
  async wait(timeoutMs: number | undefined, signal: AbortSignal): Promise<void> {
    const waitMs = timeoutMs ?? Number.POSITIVE_INFINITY;
    if (!this.#rung && !signal.aborted && waitMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const onAbort = (): void => resolve();
      signal.addEventListener("abort", onAbort, { once: true });
      const timer = Number.isFinite(waitMs)
        ? setTimeout(resolve, Math.min(waitMs, longestTimerMs))
        : undefined;
      await promise;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      this.#wake = undefined;
    } else if (!signal.aborted) {
      await nextTurn();
    }
    this.#rung = false;
  }
}
