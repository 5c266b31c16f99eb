// Options of a replication: defaults in one table, checked once at the edge.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";

/** What to replicate and how. Only `path` and `replica` are needed. */
export interface ReplicateOptions {
  /** The SQLite database. It may be missing as yet: then Headwater waits for it. */
  readonly path: string;
  /** URL of the replica: `file:///absolute/path` or `s3://bucket/path`. */
  readonly replica: string;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /** Changes are uploaded at most once in this time, ms; 0 = each commit at once. Default 1000. */
  readonly syncIntervalMs?: number | undefined;
  /** Local state; default `.<file name>-headwater` beside the database. */
  readonly stateDir?: string | undefined;
  /** Where a Litestream keeps its own state of this database; default `.<file name>-litestream` beside it. */
  readonly metaPath?: string | undefined;
  /** Continue a replica that another program wrote without waiting until it has been quiet for two minutes. */
  readonly takeOver?: boolean | undefined;
  /** WAL size above which health turns red and a first image is finished locally. Default 1 GiB. */
  readonly maxWalSizeBytes?: number | undefined;
  /** Staged files above this size are merged into one. Default 10 GiB. */
  readonly maxStagingBytes?: number | undefined;
}

const replicateDefaults = Object.freeze({
  syncIntervalMs: 1_000,
  maxWalSizeBytes: 1024 ** 3,
  maxStagingBytes: 10 * 1024 ** 3,
});

export interface ResolvedOptions {
  readonly path: string;
  readonly replica: string;
  readonly secrets: StoreSecrets | undefined;
  readonly stateDir: string | undefined;
  readonly metaPath: string | undefined;
  readonly takeOver: boolean;
  readonly syncIntervalMs: number;
  readonly maxWalSizeBytes: number;
  readonly maxStagingBytes: number;
}

/** Fills in defaults. Throws `usage/invalid` naming the option. */
export function resolveOptions(options: ReplicateOptions): ResolvedOptions {
  const number = (name: keyof typeof replicateDefaults, atLeast: number): number => {
    const value = options[name] ?? replicateDefaults[name];
    if (Number.isFinite(value) && value >= atLeast) return value;
    throw new HeadwaterError(
      "usage/invalid",
      `${name} is ${value}; it must be a number of at least ${atLeast}.`,
    );
  };
  if (options.path === "" || options.replica === "") {
    throw new HeadwaterError(
      "usage/invalid",
      "A replication needs the path of a database and the URL of a replica.",
    );
  }
  return {
    path: options.path,
    replica: options.replica,
    secrets: options.secrets,
    stateDir: options.stateDir,
    metaPath: options.metaPath,
    takeOver: options.takeOver ?? false,
    syncIntervalMs: number("syncIntervalMs", 0),
    maxWalSizeBytes: number("maxWalSizeBytes", 1024 ** 2),
    maxStagingBytes: number("maxStagingBytes", 1024 ** 2),
  };
}
