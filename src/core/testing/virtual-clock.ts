// Time that a test owns.
import type { Clock } from "../base/clock.ts";

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** A clock that stands still until it is told to go on, or, with `isEager`, jumps to the end of every sleep. */
export class VirtualClock implements Clock {
  readonly #startMs: number;
  readonly #isEager: boolean;
  readonly #sleepers = new Set<Sleeper>();
  #elapsedMs = 0;

  constructor({ startMs = 1_700_000_000_000, isEager = false } = {}) {
    this.#startMs = startMs;
    this.#isEager = isEager;
  }

  nowMs(): number {
    return Math.floor(this.#startMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** How many are asleep. */
  get sleeperCount(): number {
    return this.#sleepers.size;
  }

  async sleep(
    ms: number,
    { signal }: { readonly signal?: AbortSignal | undefined },
  ): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isEager) {
      this.#elapsedMs += ms;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper: Sleeper = { dueMs: this.#elapsedMs + ms, wake: resolve };
    const onAbort = (): void => reject(signal?.reason);
    this.#sleepers.add(sleeper);
    signal?.addEventListener("abort", onAbort);
    try {
      await promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Lets `ms` pass. Whoever is due wakes, the earliest first, each seeing the time it asked for. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    for (;;) {
      const due = [...this.#sleepers].filter((sleeper) => sleeper.dueMs <= endMs);
      const next = due.sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      this.#sleepers.delete(next);
      next.wake();
      // Whoever woke may go to sleep again within this span: let it come so far.
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    }
    this.#elapsedMs = endMs;
  }
}
