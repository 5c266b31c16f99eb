// How many requests a replica costs while its database is written without pause: an upper bound, from the configuration
// alone. An idle database costs none. What each job asks of the store is told by compact.ts, prune.ts and catalog.ts.
import { type RequestCounts, type RequestKind, countsOf } from "../store/request-prices.ts";
import { maxInputs } from "./plan-compaction.ts";

/** The longest month, so that no month costs more. */
export const monthMs = 31 * 24 * 60 * 60 * 1000;

/** What decides how often the store is asked, ms. */
export interface ReplicaCadence {
  /** 0 = each commit, which is taken for ten in a second. */
  readonly syncIntervalMs: number;
  /** Of level 1, 2, ... */
  readonly levels: readonly number[];
  readonly snapshotIntervalMs: number;
  /** How often what is old is looked for at most; `undefined` = never. */
  readonly retentionCheckMs: number | undefined;
  /** Requests that put one full image. */
  readonly putsPerImage: number;
  /** A manifest is put after each upload. */
  readonly hasManifest?: boolean | undefined;
}

/** Requests in a month, by who causes them. */
export interface RequestForecast {
  /** Level-0 files, and looking whether the last one is still there. */
  readonly sync: RequestCounts;
  /** Levels 1 to 8, full images, retention and the manifest. */
  readonly upkeep: RequestCounts;
}

/** The two last files are looked at again after this long. */
const confirmMs = 60_000;
const shortestSyncMs = 100;

/** Headers read for one merged file: of its first and last input, its own, and that of the file before it. */
const headersPerMerge = 4;

/** Interior pages lie scattered over the files. */
const readsPerHotPages = 100;

/** While somebody follows by push others are looked for this often before a file is put. */
const listWhenFollowedMs = 60_000;

/** A listing of the whole replica: one request for each thousand files. */
const requestsPerListing = 10;

/** What a month of writing without pause asks of the store. */
export function forecastRequests(cadence: ReplicaCadence): RequestForecast {
  const syncMs = Math.max(cadence.syncIntervalMs, shortestSyncMs);
  const sync = counts({
    put: monthMs / syncMs,
    get: (2 * monthMs) / Math.max(syncMs, confirmMs),
  });
  const images = monthMs / cadence.snapshotIntervalMs;
  const jobs: RequestCounts[] = [counts({ put: images * cadence.putsPerImage })];
  /** How often something in the replica changes. */
  let changes = monthMs / syncMs + images;
  let belowMs = syncMs;
  for (const [index, levelMs] of cadence.levels.entries()) {
    const intervalMs = Math.max(levelMs, belowMs);
    const inputs = intervalMs / belowMs;
    const merges = (monthMs / intervalMs) * Math.ceil(inputs / maxInputs);
    // The inputs of level 1 are read from local disk.
    const reads = index === 0 ? 2 : headersPerMerge + inputs;
    jobs.push(counts({ put: merges, list: merges, get: merges * reads }));
    changes += merges;
    belowMs = intervalMs;
  }
  if (cadence.retentionCheckMs !== undefined) {
    // Something becomes old as often as something is merged; all levels are listed before it goes.
    const afterMs = cadence.levels[0] ?? cadence.snapshotIntervalMs;
    const checks = monthMs / Math.max(cadence.retentionCheckMs, afterMs, syncMs);
    jobs.push(counts({ list: checks * requestsPerListing, delete: checks }));
    changes += checks;
  }
  if (cadence.hasManifest === true) {
    const made = monthMs / (cadence.levels.at(-1) ?? cadence.snapshotIntervalMs);
    jobs.push(counts({ put: changes + made, list: made, get: made * readsPerHotPages }));
  }
  return { sync, upkeep: jobs.reduce(addCounts) };
}

/** The same while somebody follows by push: each upload is two files, and level 0 is listed before it now and then. */
export function forecastFollowed(cadence: ReplicaCadence): RequestForecast {
  const { sync, upkeep } = forecastRequests(cadence);
  const more = counts({
    put: sync.put,
    list: monthMs / Math.max(cadence.syncIntervalMs, listWhenFollowedMs),
  });
  const manifests = counts({ put: cadence.hasManifest === true ? sync.put : 0 });
  return { sync: addCounts(sync, more), upkeep: addCounts(upkeep, manifests) };
}

/** Both together. */
export function addCounts(a: RequestCounts, b: RequestCounts): RequestCounts {
  return countsOf((kind) => a[kind] + b[kind]);
}

/** `counts`, `factor` times. */
export function scaleCounts(all: RequestCounts, factor: number): RequestCounts {
  return countsOf((kind) => all[kind] * factor);
}

function counts(given: Partial<Record<RequestKind, number>>): RequestCounts {
  return countsOf((kind) => given[kind] ?? 0);
}
