// When changes are staged and uploaded: at most once in the sync interval, and no more often than the budget can pay.
// Staging for other reasons costs nothing and is never delayed: what is staged waits here for its upload. While somebody
// follows by push changes are staged once in the push interval, and uploaded as ever.
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import type { BudgetStatus } from "./engine-status.ts";

/** What pays for uploads. */
export interface PutBudget {
  /** How long until one more level-0 file can be paid, ms. */
  msUntilPut(): number;
  /** How many can be paid now. */
  putsLeft(): number;
  /** How far apart they are once nothing is saved up, ms. */
  readonly putIntervalMs: number;
}

export interface CadenceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly syncIntervalMs: number;
  readonly budget: PutBudget | undefined;
  /** How soon what is committed is staged while somebody follows, ms. */
  readonly pushIntervalMs?: number | undefined;
  readonly isFollowed?: (() => boolean) | undefined;
}

export class Cadence {
  readonly #options: CadenceOptions;
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #isMuch = false;
  #isStretched = false;

  constructor(options: CadenceOptions) {
    this.#options = options;
  }

  /** Until what has been committed is to be staged, ms; 0 or less: now. */
  msUntilFlush(): number {
    if (this.#isMuch) return 0;
    const { clock, syncIntervalMs, pushIntervalMs = 0 } = this.#options;
    if (this.isFollowed) {
      const intervalMs = Math.min(pushIntervalMs, syncIntervalMs);
      return this.#flushedAtMs + intervalMs - clock.monotonicMs();
    }
    return Math.max(this.#flushedAtMs + syncIntervalMs - clock.monotonicMs(), this.msUntilUpload());
  }

  /** Somebody follows by push. */
  get isFollowed(): boolean {
    return this.#options.isFollowed?.() ?? false;
  }

  /** Until what is staged is to be uploaded, ms; 0: now. */
  msUntilUpload(): number {
    return this.#options.budget?.msUntilPut() ?? 0;
  }

  /** More has been committed than one batch should hold: it is staged now, whenever it can be uploaded. */
  noteMuch(): void {
    this.#isMuch = true;
  }

  /** Everything committed so far is being staged. */
  noteFlush(): void {
    this.#flushedAtMs = this.#options.clock.monotonicMs();
    this.#isMuch = false;
  }

  /** Something was uploaded: tells when the budget begins to stretch the interval, and when it stops. */
  noteUpload(): void {
    const { logger } = this.#options;
    const status = this.status;
    if (status === undefined || status.isStretched === this.#isStretched) return;
    this.#isStretched = status.isStretched;
    logger.log("info", status.isStretched ? "budget.stretched" : "budget.full-speed", {
      intervalMs: Math.round(status.intervalMs),
    });
  }

  /** `undefined` without a budget. */
  get status(): BudgetStatus | undefined {
    const { budget, syncIntervalMs } = this.#options;
    if (budget === undefined) return undefined;
    const putsLeft = budget.putsLeft();
    const isStretched = putsLeft < 1 && budget.putIntervalMs > syncIntervalMs;
    return {
      putsLeft,
      isStretched,
      intervalMs: isStretched ? budget.putIntervalMs : syncIntervalMs,
    };
  }
}
