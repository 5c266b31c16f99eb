// Options of a replication: defaults in one table, checked once at the edge.
import { HeadwaterError } from "../../core/base/errors.ts";
import { retentionDefaults } from "../../core/replica/retention.ts";
import { isHttpUrl, urlWithoutSecrets } from "../store/open-store.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";

/** One of the replicas of a database. */
export interface ReplicaOptions {
  /** `file:///absolute/path` or `s3://bucket/path`. */
  readonly url: string;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /** Of this replica alone; see `ReplicateOptions`. */
  readonly manifest?: boolean | undefined;
}

/** What to replicate and how. Only `path`, and `replica` or `replicas`, are needed. */
export interface ReplicateOptions {
  /** The SQLite database. It may be missing as yet: then Headwater waits for it. */
  readonly path: string;
  /** URL of the replica: `file:///absolute/path` or `s3://bucket/path`. */
  readonly replica?: string | undefined;
  /** What opens the store of `replica`; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /** In place of `replica`: several, each with the whole history. `sync()` waits for all of them. */
  readonly replicas?: readonly ReplicaOptions[] | undefined;
  /** Changes are uploaded at most once in this time, ms; 0 = each commit at once. Default 1000. */
  readonly syncIntervalMs?: number | undefined;
  /** While somebody follows by push, changes are staged at most once in this time, ms; 0 = each commit at once. Default 50. */
  readonly pushIntervalMs?: number | undefined;
  /**
   * Of each replica: most requests in a month that stores charge for as PUT or LIST. A database that is written without pause is then
   * uploaded less often, one with pauses as often as before. Default: no limit.
   */
  readonly maxPutsPerMonth?: number | undefined;
  /** As `maxPutsPerMonth`, in US dollars for requests of all kinds; for stores whose prices are known. */
  readonly maxCostPerMonth?: number | undefined;
  /** Local state; default `.<file name>-headwater` beside the database. */
  readonly stateDir?: string | undefined;
  /** Where a Litestream keeps its own state of this database; default `.<file name>-litestream` beside it. */
  readonly metaPath?: string | undefined;
  /** Continue a replica that another program wrote without waiting until it has been quiet for two minutes. */
  readonly takeOver?: boolean | undefined;
  /**
   * A lease in the replica keeps a second writer from starting. One whose holder is silent, or dead, passes to another
   * writer after this long, ms; 0 = no lease. Default 30 s.
   */
  readonly leaseTtlMs?: number | undefined;
  /** WAL size above which health turns red and a first image is finished locally. Default 1 GiB. */
  readonly maxWalSizeBytes?: number | undefined;
  /** Staged files above this size are merged into one. Default 10 GiB. */
  readonly maxStagingBytes?: number | undefined;
  /** How often level 1, 2, ... is compacted from the level below, ms; at most 8. Default 30 s, 5 min, 1 h; `[]` = never. */
  readonly levels?: readonly number[] | undefined;
  /** How often a full image is put, if anything changed, ms. Default 24 h. */
  readonly snapshotIntervalMs?: number | undefined;
  /** Full images older than this are deleted, with the history before them, ms. The newest stays. Default 24 h. */
  readonly snapshotRetentionMs?: number | undefined;
  /** Level-0 files older than this are deleted once level 1 holds them, ms; 0 = never. Default 5 min. */
  readonly l0RetentionMs?: number | undefined;
  /** Nothing that a restore begun within this time may need is deleted, ms. Default 5 min. */
  readonly retentionGraceMs?: number | undefined;
  /** False: nothing in the replica is ever deleted. Default true. */
  readonly retentionEnabled?: boolean | undefined;
  /** How often the database is compared with what was captured, and new files of the replica are proved, ms; 0 = never. Default 6 h. */
  readonly verifyIntervalMs?: number | undefined;
  /**
   * How often a restore is compared with the database byte for byte, ms; 0 = never. It reads about as much from the replica as
   * the database is large. Default 7 days for `file://`, else never.
   */
  readonly verifyRestoreIntervalMs?: number | undefined;
  /** How often the replica is listed and its levels looked through for gaps and overlaps, ms; 0 = never. Default 0. */
  readonly validationIntervalMs?: number | undefined;
  /**
   * Put a checksum file beside each merged file and full image, so that readers of single pages can check them. Reads each of
   * these files once. Default false.
   */
  readonly pageChecksums?: boolean | undefined;
  /**
   * Keep a `manifest.json` beside the files, by which browsers and other readers behind HTTP find them: one small put more for
   * each upload. Default false.
   */
  readonly manifest?: boolean | undefined;
}

const replicateDefaults = Object.freeze({
  syncIntervalMs: 1_000,
  pushIntervalMs: 50,
  leaseTtlMs: 30_000,
  maxWalSizeBytes: 1024 ** 3,
  maxStagingBytes: 10 * 1024 ** 3,
  snapshotIntervalMs: 24 * 60 * 60 * 1000,
  snapshotRetentionMs: retentionDefaults.snapshotRetentionMs,
  l0RetentionMs: retentionDefaults.l0RetentionMs,
  retentionGraceMs: retentionDefaults.graceMs,
  verifyIntervalMs: 6 * 60 * 60 * 1000,
  verifyRestoreIntervalMs: 0,
  validationIntervalMs: 0,
});

/** Where reading costs nothing. */
const defaultLocalVerifyRestoreMs = 7 * 24 * 60 * 60 * 1000;

/** As Litestream: 30 s, 5 min, 1 h. */
const defaultLevels: readonly number[] = Object.freeze([30_000, 300_000, 3_600_000]);

export interface ResolvedOptions {
  readonly path: string;
  /** At least one. */
  readonly replicas: readonly ReplicaOptions[];
  readonly stateDir: string | undefined;
  readonly metaPath: string | undefined;
  readonly takeOver: boolean;
  readonly leaseTtlMs: number;
  readonly syncIntervalMs: number;
  readonly pushIntervalMs: number;
  readonly maxPutsPerMonth: number | undefined;
  readonly maxCostPerMonth: number | undefined;
  readonly maxWalSizeBytes: number;
  readonly maxStagingBytes: number;
  readonly levels: readonly number[];
  readonly snapshotIntervalMs: number;
  readonly snapshotRetentionMs: number;
  readonly l0RetentionMs: number;
  readonly retentionGraceMs: number;
  readonly retentionEnabled: boolean;
  readonly verifyIntervalMs: number;
  readonly verifyRestoreIntervalMs: number;
  readonly validationIntervalMs: number;
  readonly pageChecksums: boolean;
  /** For replicas that do not say themselves. */
  readonly manifest: boolean;
}

/** Fills in defaults. Throws `usage/invalid` naming the option. */
export function resolveOptions(options: ReplicateOptions): ResolvedOptions {
  const isLocal = replicasOf(options).every(({ url }) => url.startsWith("file:"));
  const defaults = isLocal
    ? { ...replicateDefaults, verifyRestoreIntervalMs: defaultLocalVerifyRestoreMs }
    : replicateDefaults;
  const number = (name: keyof typeof replicateDefaults, atLeast: number): number => {
    const value = options[name] ?? defaults[name];
    if (Number.isFinite(value) && value >= atLeast) return value;
    throw invalid(`${name} is ${value}; it must be a number of at least ${atLeast}.`);
  };
  return {
    path: options.path,
    replicas: checkedReplicas(options),
    stateDir: options.stateDir,
    metaPath: options.metaPath,
    takeOver: options.takeOver ?? false,
    leaseTtlMs: options.leaseTtlMs === 0 ? 0 : number("leaseTtlMs", 3_000),
    syncIntervalMs: number("syncIntervalMs", 0),
    pushIntervalMs: number("pushIntervalMs", 0),
    ...checkedBudget(options),
    maxWalSizeBytes: number("maxWalSizeBytes", 1024 ** 2),
    maxStagingBytes: number("maxStagingBytes", 1024 ** 2),
    levels: checkedLevels(options.levels ?? defaultLevels),
    snapshotIntervalMs: number("snapshotIntervalMs", 1),
    snapshotRetentionMs: number("snapshotRetentionMs", 0),
    l0RetentionMs: number("l0RetentionMs", 0),
    retentionGraceMs: number("retentionGraceMs", 0),
    retentionEnabled: options.retentionEnabled ?? true,
    verifyIntervalMs: number("verifyIntervalMs", 0),
    verifyRestoreIntervalMs: number("verifyRestoreIntervalMs", 0),
    validationIntervalMs: number("validationIntervalMs", 0),
    pageChecksums: options.pageChecksums ?? false,
    manifest: options.manifest ?? false,
  };
}

/** Below this many requests a month, levels and retention would be made less than once a week. */
const leastPutsPerMonth = 1_000;

function checkedBudget({
  maxPutsPerMonth,
  maxCostPerMonth,
}: ReplicateOptions): Pick<ResolvedOptions, "maxPutsPerMonth" | "maxCostPerMonth"> {
  const problem =
    maxPutsPerMonth !== undefined && maxCostPerMonth !== undefined
      ? "maxPutsPerMonth and maxCostPerMonth exclude each other. Leave one of them out."
      : maxPutsPerMonth !== undefined && !(maxPutsPerMonth >= leastPutsPerMonth)
        ? `maxPutsPerMonth is ${maxPutsPerMonth}; it must be a number of at least ${leastPutsPerMonth}.`
        : maxCostPerMonth !== undefined && !(maxCostPerMonth > 0)
          ? `maxCostPerMonth is ${maxCostPerMonth}; it must be more than 0 US dollars.`
          : undefined;
  if (problem !== undefined) throw invalid(problem);
  return { maxPutsPerMonth, maxCostPerMonth };
}

/** The replicas as they were given, one or several. */
export function replicasOf({
  replica,
  secrets,
  replicas,
}: Pick<ReplicateOptions, "replica" | "secrets" | "replicas">): readonly ReplicaOptions[] {
  return replicas ?? (replica === undefined ? [] : [{ url: replica, secrets }]);
}

function checkedReplicas(options: ReplicateOptions): readonly ReplicaOptions[] {
  const replicas = replicasOf(options);
  const urls = new Set(replicas.map(({ url }) => placeOf(url)));
  if (options.path === "" || urls.size === 0 || urls.has("")) {
    throw invalid("A replication needs the path of a database and the URL of a replica.");
  }
  const unwritable = replicas.find(({ url }) => isHttpUrl(url));
  if (unwritable !== undefined) {
    throw invalid(
      `${urlWithoutSecrets(unwritable.url)} can only be read: HTTP cannot write. Replicate to the bucket or directory behind ` +
        "it, by s3://bucket/path or file:///absolute/path.",
    );
  }
  if (options.replica !== undefined && options.replicas !== undefined) {
    throw invalid("replica and replicas exclude each other. Put all URLs into replicas.");
  }
  if (urls.size < replicas.length) {
    throw invalid(`Two replicas of ${options.path} have the same URL. Each needs its own place.`);
  }
  return replicas;
}

/** The same for two URLs that differ only in their secrets or in a slash at the end. */
function placeOf(url: string): string {
  return urlWithoutSecrets(url).replace(/\/+(?=$|[?])/u, "");
}

function checkedLevels(levels: readonly number[]): readonly number[] {
  const isSound = levels.every((intervalMs) => Number.isFinite(intervalMs) && intervalMs >= 1);
  if (isSound && levels.length <= 8) return levels;
  throw invalid(
    `levels is ${JSON.stringify(levels)}; it must be at most 8 intervals in milliseconds, each at least 1.`,
  );
}

function invalid(message: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", message);
}
