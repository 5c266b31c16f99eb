// When a job of the levels is due: aligned to the clock, so that the files of all databases and of every restart end at
// the same moments; later after a failure.
import { backoffMs } from "../../core/base/async.ts";
import type { Random } from "../../core/base/random.ts";

const backoff = { firstMs: 1_000, maxMs: 300_000 };

/** Looking for what is old more often than this finds too little. */
const retentionCheckMs = 15_000;

/** How often retention looks. Each look that finds something lists the whole replica, so not for every file of level 0. */
export function retentionIntervalMs(levels: readonly number[], l0RetentionMs: number): number {
  return Math.max(Math.min(retentionCheckMs, ...levels), l0RetentionMs / 2);
}

/** One kind of work that comes back. Nothing is due while nothing is pending. */
export class LevelJob {
  /** In logs. */
  readonly name: string;
  readonly intervalMs: number;
  /** May return how long, ms, nothing can be due again. */
  readonly work: (options: { readonly signal: AbortSignal }) => Promise<number | undefined>;
  /** There may be something to do. */
  isPending = false;
  #nextAtMs = 0;
  /** When that was decided. */
  #setAtMs = 0;
  #failures = 0;

  constructor(name: string, intervalMs: number, work: LevelJob["work"]) {
    this.name = name;
    this.intervalMs = intervalMs;
    this.work = work;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** Start of the interval in which `nowMs` lies, on absolute time. */
  boundaryMs(nowMs: number): number {
    return Math.floor(nowMs / this.intervalMs) * this.intervalMs;
  }

  /** `Infinity` if nothing is pending. */
  msUntilDue(nowMs: number): number {
    if (!this.isPending) return Number.POSITIVE_INFINITY;
    // The clock was set back: what was to be soon is not to be far away.
    return nowMs < this.#setAtMs ? 0 : Math.max(0, this.#nextAtMs - nowMs);
  }

  /** It ran: the next run is at the next boundary, or after `atLeastMs` from now if that is later. */
  noteDone(nowMs: number, atLeastMs = 0): void {
    this.#failures = 0;
    this.#set(nowMs, Math.max(this.boundaryMs(nowMs) + this.intervalMs, nowMs + atLeastMs));
  }

  /** Returns how long it waits, ms. */
  noteFailure(nowMs: number, random: Random): number {
    this.#failures++;
    const waitMs = Math.round(backoffMs(this.#failures, backoff, random));
    this.#set(nowMs, nowMs + waitMs);
    return waitMs;
  }

  #set(nowMs: number, nextAtMs: number): void {
    this.#setAtMs = nowMs;
    this.#nextAtMs = nextAtMs;
  }
}
