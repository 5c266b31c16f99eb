// What a replica may cost in a month, held by stretching the cadence (docs/cost.md). Two token buckets: level-0 files
// pay from one, levels, images and retention from the other, or whichever is at work more often would starve the other.
// Nothing here forbids a request: it says when the next one can be afforded, and takes note of those that could not wait.
import { TokenBucket } from "../base/token-bucket.ts";
import type { RequestCounts, RequestKind } from "../store/request-prices.ts";
import { countsOf, weigh } from "../store/request-prices.ts";
import { type RequestForecast, monthMs, scaleCounts } from "./request-forecast.ts";

/** A limit and what each request takes of it: US dollars and prices, or requests and ones. */
export interface BudgetLimit {
  readonly perMonth: number;
  readonly weights: RequestCounts;
}

/** Who pays. */
export type BudgetShare = "sync" | "upkeep";

/** How full each bucket is: 1 = full, below 0 = overdrawn. Means the same whatever the limit is. */
export type BudgetLevels = Readonly<Record<BudgetShare, number>>;

/** The part of a month's budget that can be used at once, at full speed. The rest comes evenly. */
const burstPart = 0.1;

/**
 * Levels, images and retention get the part they are expected to need, at least the first of these; more than the second
 * only if level-0 files do not need it.
 */
const minUpkeepPart = 0.02;
const fairUpkeepPart = 0.25;

/** Limit of requests: what stores charge most for, PUT and LIST. */
export function requestLimit(requestsPerMonth: number): BudgetLimit {
  const weights = countsOf((kind) => (kind === "put" || kind === "list" ? 1 : 0));
  return { perMonth: requestsPerMonth, weights };
}

export interface RequestBudgetOptions {
  readonly limit: BudgetLimit;
  /** At full speed. */
  readonly forecast: RequestForecast;
  /** Default: full. */
  readonly levels?: BudgetLevels | undefined;
}

/** Time is an argument, in ms of one clock. */
export class RequestBudget {
  readonly #weights: RequestCounts;
  readonly #buckets: Readonly<Record<BudgetShare, TokenBucket>>;
  readonly #capacities: Readonly<Record<BudgetShare, number>>;
  /** What level-0 files have when the burst is used up, in a millisecond. */
  readonly #syncPerMs: number;

  constructor({ limit, forecast, levels }: RequestBudgetOptions, nowMs: number) {
    const upkeepPart = upkeepPartOf(limit, forecast);
    const parts = { sync: 1 - upkeepPart, upkeep: upkeepPart };
    const capacityOf = (share: BudgetShare): number => limit.perMonth * burstPart * parts[share];
    const perMsOf = (share: BudgetShare): number =>
      (limit.perMonth * (1 - burstPart) * parts[share]) / monthMs;
    const bucketOf = (share: BudgetShare): TokenBucket => {
      const capacity = capacityOf(share);
      const tokens = levels === undefined ? undefined : levels[share] * capacity;
      return new TokenBucket({ capacity, perMs: perMsOf(share), tokens }, nowMs);
    };
    this.#weights = limit.weights;
    this.#capacities = { sync: capacityOf("sync"), upkeep: capacityOf("upkeep") };
    this.#buckets = { sync: bucketOf("sync"), upkeep: bucketOf("upkeep") };
    this.#syncPerMs = perMsOf("sync");
  }

  /** Requests were made, or are about to be. */
  charge(share: BudgetShare, kind: RequestKind, requests: number, nowMs: number): void {
    this.#buckets[share].take(requests * this.#weights[kind], nowMs);
  }

  /** How long until one more level-0 file can be paid, ms. */
  msUntilPut(nowMs: number): number {
    return this.#buckets.sync.msUntil(this.#weights.put, nowMs);
  }

  /** How long until levels, images and retention have paid what they did, ms. Then all that is due may be done. */
  msUntilUpkeep(nowMs: number): number {
    return this.#buckets.upkeep.msUntil(0, nowMs);
  }

  /** How far apart level-0 files are once the burst is used up, ms; 0 where they are free. */
  get putIntervalMs(): number {
    return this.#weights.put / this.#syncPerMs;
  }

  /** Level-0 files that can go now at full speed; below 0: what could not wait has overdrawn it. */
  putsLeft(nowMs: number): number {
    const { put } = this.#weights;
    return put === 0 ? Number.POSITIVE_INFINITY : this.#buckets.sync.tokens(nowMs) / put;
  }

  levels(nowMs: number): BudgetLevels {
    const { sync, upkeep } = this.#buckets;
    return {
      sync: sync.tokens(nowMs) / this.#capacities.sync,
      upkeep: upkeep.tokens(nowMs) / this.#capacities.upkeep,
    };
  }

  /** How full the buckets are after `elapsedMs` in which nobody paid. Less than no time fills nothing. */
  static refilled(levels: BudgetLevels, elapsedMs: number): BudgetLevels {
    const gain = (Math.max(0, elapsedMs) / monthMs) * ((1 - burstPart) / burstPart);
    return { sync: Math.min(1, levels.sync + gain), upkeep: Math.min(1, levels.upkeep + gain) };
  }
}

/** The forecast as the limit lets it come true. */
export function limitedForecast(forecast: RequestForecast, limit: BudgetLimit): RequestForecast {
  const upkeepPart = upkeepPartOf(limit, forecast);
  const within = (counts: RequestCounts, part: number): RequestCounts => {
    const needed = weigh(counts, limit.weights);
    return scaleCounts(counts, needed === 0 ? 1 : Math.min(1, (limit.perMonth * part) / needed));
  };
  return {
    sync: within(forecast.sync, 1 - upkeepPart),
    upkeep: within(forecast.upkeep, upkeepPart),
  };
}

function upkeepPartOf({ perMonth, weights }: BudgetLimit, forecast: RequestForecast): number {
  const needs = (counts: RequestCounts): number =>
    weigh(counts, weights) / (perMonth * (1 - burstPart));
  const most = Math.max(fairUpkeepPart, 1 - needs(forecast.sync) - minUpkeepPart);
  return Math.min(most, Math.max(minUpkeepPart, needs(forecast.upkeep)));
}
