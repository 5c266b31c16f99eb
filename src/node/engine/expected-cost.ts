// What a replica is expected to cost, from the options alone; told at the start (docs/cost.md).
import { statSync } from "node:fs";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { LogFields } from "../../core/base/log.ts";
import { limitedForecast, requestLimit } from "../../core/replica/request-budget.ts";
import type { BudgetLimit } from "../../core/replica/request-budget.ts";
import {
  addCounts,
  forecastFollowed,
  forecastRequests,
  monthMs,
} from "../../core/replica/request-forecast.ts";
import type { RequestForecast } from "../../core/replica/request-forecast.ts";
import { weigh } from "../../core/store/request-prices.ts";
import type { RequestCounts } from "../../core/store/request-prices.ts";
import type { Environment } from "../store/s3-settings.ts";
import { storePrices } from "../store/store-prices.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import { retentionIntervalMs } from "./level-job.ts";

/** What a month of writing without pause costs. A month without a write costs nothing. */
export interface MonthlyCost {
  /** Within the limit, if there is one. */
  readonly requests: RequestCounts;
  /** For the requests; `undefined` where the prices are not known. */
  readonly usd: number | undefined;
  /** Whose prices these are. */
  readonly provider: string | undefined;
}

export interface ExpectedCost extends MonthlyCost {
  /** How far apart uploads then are, ms. */
  readonly intervalMs: number;
  /** Without a limit, and without followers. */
  readonly fullSpeed: RequestForecast;
  /** `undefined`: none, or one that nothing counts towards. */
  readonly limit: BudgetLimit | undefined;
  readonly partSizeBytes: number;
}

export interface CostOptions {
  /** Somebody may follow by push, and is taken to do so all the time. */
  readonly isPushed?: boolean | undefined;
}

/** What each replica of a database is expected to cost. Throws as `expectedCost`. */
export function expectedCosts(
  options: ResolvedOptions,
  environment: Environment,
  cost: CostOptions,
): readonly ExpectedCost[] {
  return options.replicas.map(({ url, manifest = options.manifest }) =>
    expectedCost({ ...options, manifest }, url, environment, cost),
  );
}

/** Throws `usage/invalid` for a limit in dollars on a store whose prices are not known. */
export function expectedCost(
  options: ResolvedOptions,
  url: string,
  environment: Environment,
  { isPushed = false }: CostOptions = {},
): ExpectedCost {
  const { prices, partSizeBytes } = storePrices(url, environment);
  const { syncIntervalMs, levels, snapshotIntervalMs, l0RetentionMs } = options;
  const cadence = {
    syncIntervalMs,
    levels,
    snapshotIntervalMs,
    retentionCheckMs: options.retentionEnabled
      ? retentionIntervalMs(levels, l0RetentionMs)
      : undefined,
    putsPerImage: putsFor(options.path, partSizeBytes),
    hasManifest: options.manifest,
  };
  const fullSpeed = forecastRequests(cadence);
  const most = isPushed ? forecastFollowed(cadence) : fullSpeed;
  const limit = limitOf(options, prices?.usd);
  const { sync, upkeep } = limit === undefined ? most : limitedForecast(most, limit);
  const requests = addCounts(sync, upkeep);
  return {
    requests,
    usd: prices && weigh(requests, prices.usd),
    intervalMs: (monthMs / sync.put) * (most.sync.put / fullSpeed.sync.put),
    provider: prices?.provider,
    fullSpeed,
    limit,
    partSizeBytes,
  };
}

/** The sum; without a price if one of them has none. */
export function totalCost(costs: readonly MonthlyCost[]): MonthlyCost {
  const prices = costs.map(({ usd }) => usd).filter((usd) => usd !== undefined);
  return {
    requests: costs.map(({ requests }) => requests).reduce(addCounts),
    usd: prices.length === costs.length ? prices.reduce((sum, usd) => sum + usd, 0) : undefined,
    provider: [...new Set(costs.map(({ provider }) => provider ?? "unknown"))].join(", "),
  };
}

/** Fields of a log event. */
export function costFields({ requests, usd, provider }: MonthlyCost): LogFields {
  return {
    putsPerMonth: Math.round(requests.put),
    listsPerMonth: Math.round(requests.list),
    getsPerMonth: Math.round(requests.get),
    usdPerMonth: usd === undefined ? undefined : Math.round(usd * 100) / 100,
    provider,
    hint: "at most, if it is written without a pause; no requests while it is idle",
  };
}

function limitOf(
  { maxPutsPerMonth, maxCostPerMonth }: ResolvedOptions,
  usd: RequestCounts | undefined,
): BudgetLimit | undefined {
  if (maxPutsPerMonth !== undefined) return requestLimit(maxPutsPerMonth);
  if (maxCostPerMonth === undefined) return undefined;
  if (usd === undefined) {
    throw new HeadwaterError(
      "usage/invalid",
      "The prices of this store are not known, so a limit in dollars cannot be kept. Set max-puts-per-month instead.",
    );
  }
  const isFree = Object.values(usd).every((price) => price === 0);
  return isFree ? undefined : { perMonth: maxCostPerMonth, weights: usd };
}

/** Requests for one full image, not counting that it is compressed. */
function putsFor(path: string, partSizeBytes: number): number {
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return sizeBytes > partSizeBytes ? Math.ceil(sizeBytes / partSizeBytes) + 2 : 1;
}
