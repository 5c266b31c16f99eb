// Wakes one loop: whoever has work for it rings, the loop waits for a ring or a deadline.
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  /** Wakes the loop, now or at its next wait. Rings before that count as one. */
  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves at a ring, after `timeoutMs` (`undefined` = never), or when the signal is aborted. */
  async wait(timeoutMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted && (timeoutMs === undefined || timeoutMs > 0)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const onAbort = (): void => resolve();
      signal.addEventListener("abort", onAbort, { once: true });
      const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
      await promise;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      this.#wake = undefined;
    }
    this.#rung = false;
  }
}
