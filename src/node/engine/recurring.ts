// When something that recurs is due. The clock of the wall only tells how long ago the last time was before this process
// started; after that a clock that is set changes nothing.
import type { Clock } from "../../core/base/clock.ts";
import { backoffMs } from "../../core/base/async.ts";
import type { Random } from "../../core/base/random.ts";

const backoff = { firstMs: 60_000, maxMs: 3_600_000 };

/** What is overdue at a start waits for half of this and a random part more, or many databases would begin at once. */
const startSpreadMs = 600_000;

export interface RecurringOptions {
  /** 0 = never. */
  readonly intervalMs: number;
  /** When it was done last, before this process, by the wall clock; `undefined` = never. */
  readonly lastAtMs: number | undefined;
  /** What is overdue does not wait: others that begin now have been spread already. */
  readonly isSpread?: boolean | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

export class Recurring {
  readonly #options: RecurringOptions;
  #dueAtMs: number;
  #failures = 0;

  constructor(options: RecurringOptions) {
    this.#options = options;
    const { intervalMs, lastAtMs, isSpread = true, clock, random } = options;
    // A last time in the future was written by a clock that was wrong.
    const sinceMs = Math.max(0, clock.nowMs() - (lastAtMs ?? Number.NEGATIVE_INFINITY));
    const restMs = Math.max(0, intervalMs - sinceMs);
    const spreadMs = isSpread ? spreadOf(intervalMs, random) : 0;
    this.#dueAtMs = clock.monotonicMs() + Math.min(intervalMs, Math.max(restMs, spreadMs));
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** `Infinity` if it never is. */
  get msUntilDue(): number {
    const { intervalMs, clock } = this.#options;
    if (intervalMs === 0) return Number.POSITIVE_INFINITY;
    return Math.max(0, this.#dueAtMs - clock.monotonicMs());
  }

  noteDone(): void {
    this.#failures = 0;
    this.#dueAtMs = this.#options.clock.monotonicMs() + this.#options.intervalMs;
  }

  /** It is tried again sooner than it would be due. Returns in how many ms. */
  noteFailure(): number {
    const { intervalMs, clock, random } = this.#options;
    this.#failures++;
    const waitMs = Math.round(Math.min(intervalMs, backoffMs(this.#failures, backoff, random)));
    this.#dueAtMs = clock.monotonicMs() + waitMs;
    return waitMs;
  }
}

function spreadOf(intervalMs: number, random: Random): number {
  return (0.5 + random.float() / 2) * Math.min(startSpreadMs, intervalMs);
}
