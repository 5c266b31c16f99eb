// One entry of `dbs` as the options of one or more replications.
import { basename, dirname, join, relative } from "node:path";
import { must } from "../../../core/base/assert.ts";
import { localPath } from "../../base/local-path.ts";
import { replicasOf } from "../engine-options.ts";
import type { ReplicateOptions } from "../engine-options.ts";
import { matchesDirectory, patternOf } from "./directory.ts";
import { globalSettingNames } from "./keys.ts";
import type { ConfigFile, DatabaseEntry, ReplicaEntry } from "./keys.ts";
import type { KeyPath, Remarks } from "./mistakes.ts";
import { toReplicaPlace } from "./replica-url.ts";
import type { ReplicaPlace } from "./replica-url.ts";
import type { Environment } from "../../store/s3-settings.ts";
import { storePrices } from "../../store/store-prices.ts";
import type { StoreSecrets } from "../../store/store-secrets.ts";

/** A database to replicate. */
export interface DatabaseConfig {
  readonly options: ReplicateOptions;
  readonly restoreIfDbNotExists: boolean;
  /** One for each replica: the same for two databases that would go to the same replica. */
  readonly replicaIdentities: readonly string[];
}

/** A directory of databases, and where their replicas are: each at the database's own path below `replica`. */
export interface DirectoryConfig {
  readonly directory: string;
  readonly replica: string;
  readonly secrets: StoreSecrets | undefined;
  /** The database at a path; `undefined` if it does not belong to this directory. */
  readonly databaseAt: (path: string) => DatabaseConfig | undefined;
}

/** An entry that was read: one database, or a directory of them. */
export type Entry =
  | { readonly kind: "database"; readonly at: KeyPath; readonly database: DatabaseConfig }
  | (DirectoryConfig & {
      readonly kind: "directory";
      readonly at: KeyPath;
      readonly pattern: RegExp;
      readonly recursive: boolean;
      readonly isWatched: boolean;
    });

export interface EntryContext {
  readonly remarks: Remarks;
  readonly at: KeyPath;
  readonly environment: Environment;
  readonly file: ConfigFile;
}

/** After a mistake, which is in the remarks, `undefined`. */
export function toEntry(entry: DatabaseEntry, context: EntryContext): Entry | undefined {
  const { remarks, at } = context;
  if ((entry.path === undefined) === (entry.dir === undefined)) {
    remarks.mistake(
      at,
      "needs path for one database, or dir for a directory of them, and not both.",
    );
    return undefined;
  }
  const found = replicasOfEntry(entry, context);
  if (found.length === 0 || !found.every((one) => checkUrl(one, remarks))) return undefined;
  const replicas = found.map((one) => ({
    ...one,
    replica: withDefaults(one.replica, context.file),
  }));
  checkAlike(replicas, remarks);
  const syncIntervalMs = replicas[0]?.replica["sync-interval"];
  const make = (path: string, subpath: string): DatabaseConfig | undefined => {
    const places = replicas.flatMap(
      ({ replica, at: replicaAt }) =>
        toReplicaPlace(replica, subpath, { ...context, at: replicaAt }) ?? [],
    );
    if (places.length < replicas.length) return undefined;
    const budgets = places.flatMap(
      ({ url }, index) => budgetOf(must(replicas[index], "its replica"), url, context) ?? [],
    );
    const [budget] = budgets;
    if (budgets.length < places.length) return undefined;
    return {
      options: Object.freeze({
        path,
        ...placeOptions(places),
        syncIntervalMs,
        ...budget,
        stateDir: placeOf(entry["state-dir"], subpath, "headwater"),
        metaPath: metaPathOf(entry, subpath),
        takeOver: entry["take-over"],
        leaseTtlMs: entry.lease === false ? 0 : entry["lease-ttl"],
        maxWalSizeBytes: entry["max-wal-size"],
        maxStagingBytes: entry["max-staging"],
        ...retentionOf(entry, context.file),
        verifyIntervalMs: settingOf("verify-interval", entry, context.file),
        verifyRestoreIntervalMs: settingOf("verify-restore-interval", entry, context.file),
      }),
      restoreIfDbNotExists: subpath === "" && entry["restore-if-db-not-exists"] === true,
      replicaIdentities: places.map(({ identity }) => identity),
    };
  };
  return entry.path === undefined
    ? toDirectory(entry, context, make)
    : toDatabase(entry, localPath(entry.path), context, make);
}

/** What the replica may cost. After a mistake, which is in the remarks, `undefined`. */
function budgetOf(
  { replica, at }: FoundReplica,
  url: string,
  { remarks, environment }: Pick<EntryContext, "remarks" | "environment">,
): Pick<ReplicateOptions, "maxCostPerMonth" | "maxPutsPerMonth"> | undefined {
  const { "max-cost": maxCostPerMonth, "max-puts-per-month": maxPutsPerMonth } = replica;
  if (maxCostPerMonth !== undefined && maxPutsPerMonth !== undefined) {
    remarks.mistake([...at, "max-cost"], "and max-puts-per-month exclude each other.");
    return undefined;
  }
  if (maxCostPerMonth !== undefined && storePrices(url, environment).prices === undefined) {
    remarks.mistake(
      [...at, "max-cost"],
      "cannot be kept: the prices of this store are not known. Set max-puts-per-month instead.",
    );
    return undefined;
  }
  return { maxCostPerMonth, maxPutsPerMonth };
}

/** What a database leaves out comes from the top of the file. */
function settingOf(
  name: "verify-interval" | "verify-restore-interval",
  entry: DatabaseEntry,
  file: ConfigFile,
): number | undefined {
  return entry[name] ?? file[name];
}

/** How long the history of a database is kept, and in which steps. */
function retentionOf(
  { snapshot }: DatabaseEntry,
  file: ConfigFile,
): Pick<
  ReplicateOptions,
  | "levels"
  | "snapshotIntervalMs"
  | "snapshotRetentionMs"
  | "l0RetentionMs"
  | "retentionEnabled"
  | "retentionGraceMs"
  | "validationIntervalMs"
  | "pageChecksums"
> {
  return {
    levels: file.levels?.flatMap(({ interval }) => interval ?? []),
    snapshotIntervalMs: snapshot?.interval ?? file.snapshot?.interval,
    snapshotRetentionMs: snapshot?.retention ?? file.snapshot?.retention,
    l0RetentionMs: file["l0-retention"],
    retentionEnabled: file.retention?.enabled,
    retentionGraceMs: file.retention?.grace,
    validationIntervalMs: file.validation?.interval,
    pageChecksums: file["page-checksums"],
  };
}

type Make = (path: string, subpath: string) => DatabaseConfig | undefined;

function toDatabase(
  entry: DatabaseEntry,
  path: string,
  { remarks, at }: EntryContext,
  make: Make,
): Entry | undefined {
  for (const name of ["pattern", "recursive", "watch", "meta-dir"] as const) {
    if (entry[name] !== undefined) remarks.mistake([...at, name], "goes with dir, not with path.");
  }
  const database = make(path, "");
  return database && { kind: "database", at, database };
}

function toDirectory(
  entry: DatabaseEntry,
  { remarks, at }: EntryContext,
  make: Make,
): Entry | undefined {
  const { pattern: glob, recursive = false } = entry;
  if (glob === undefined) {
    remarks.mistake(at, 'has dir and needs pattern, the names of the databases: pattern: "*.db".');
    return undefined;
  }
  if (entry["meta-dir"] !== undefined && entry["meta-path"] !== undefined) {
    remarks.mistake([...at, "meta-dir"], "and meta-path exclude each other.");
  }
  if (entry["restore-if-db-not-exists"] === true) {
    remarks.warning([...at, "restore-if-db-not-exists"], "has no effect with dir.");
  }
  const pattern = patternOf(glob);
  if (pattern === undefined) {
    remarks.mistake([...at, "pattern"], "has a [ without its ].");
    return undefined;
  }
  const directory = localPath(entry.dir ?? "");
  // Tells the mistakes of the replica now, whatever is in the directory.
  const root = make(directory, "");
  if (root === undefined) return undefined;
  // Databases that are gone are looked for in the first of several replicas.
  const { url: replica, secrets } = must(replicasOf(root.options)[0], "a replica");
  const databaseAt = (path: string): DatabaseConfig | undefined => {
    const subpath = relative(directory, path);
    return matchesDirectory(subpath, { pattern, recursive }) ? make(path, subpath) : undefined;
  };
  const isWatched = entry.watch === true;
  return {
    kind: "directory",
    at,
    directory,
    replica,
    secrets,
    pattern,
    recursive,
    isWatched,
    databaseAt,
  };
}

interface FoundReplica {
  readonly replica: ReplicaEntry;
  readonly at: KeyPath;
}

/** After a mistake none. */
function replicasOfEntry(
  { replica, replicas }: DatabaseEntry,
  { remarks, at }: EntryContext,
): readonly FoundReplica[] {
  if (replica !== undefined && replicas !== undefined) {
    remarks.mistake([...at, "replicas"], "and replica exclude each other.");
    return [];
  }
  if (replica !== undefined) return [{ replica, at: [...at, "replica"] }];
  const found = (replicas ?? []).map((one, index) => ({
    replica: one,
    at: [...at, "replicas", index],
  }));
  if (found.length === 0) remarks.mistake(at, "needs a replica.");
  if (found.length === 1)
    remarks.warning([...at, "replicas"], "is the old form. Write replica, without the list.");
  return found;
}

function checkUrl({ replica, at }: FoundReplica, remarks: Remarks): boolean {
  if (replica.url === undefined) return true;
  const twice = (["path", "bucket", "host", "webdav-url"] as const).find(
    (name) => replica[name] !== undefined,
  );
  if (twice === undefined) return true;
  remarks.mistake([...at, twice], "and url exclude each other. The URL holds it.");
  return false;
}

/** What is staged is staged once for all replicas, at one pace. */
function checkAlike(replicas: readonly FoundReplica[], remarks: Remarks): void {
  const [first, ...others] = replicas;
  for (const { replica, at } of others) {
    for (const name of ["sync-interval", "max-cost", "max-puts-per-month"] as const) {
      if (replica[name] !== first?.replica[name])
        remarks.mistake([...at, name], "must be the same for all replicas of a database.");
    }
  }
}

function placeOptions(
  places: readonly ReplicaPlace[],
): Pick<ReplicateOptions, "replica" | "secrets" | "replicas"> {
  const frozen = places.map(({ url, secrets }) =>
    Object.freeze({ url, secrets: secrets === undefined ? undefined : Object.freeze(secrets) }),
  );
  const [first, ...others] = frozen;
  return first !== undefined && others.length === 0
    ? { replica: first.url, secrets: first.secrets }
    : { replicas: Object.freeze(frozen) };
}

/** What the replica leaves out comes from the top of the file; a URL names its bucket and host itself. */
function withDefaults(replica: ReplicaEntry, file: ConfigFile): ReplicaEntry {
  const inUrl = new Set(replica.url === undefined ? [] : ["bucket", "host", "webdav-url"]);
  // Two ways to give one key: a replica's own way wins over the other way of the top.
  for (const [one, other] of [
    ["sse-customer-key", "sse-customer-key-path"],
    ["sse-customer-key-path", "sse-customer-key"],
    ["max-cost", "max-puts-per-month"],
    ["max-puts-per-month", "max-cost"],
  ] as const) {
    if (replica[one] !== undefined) inUrl.add(other);
  }
  const defaults = globalSettingNames
    .filter((name) => !inUrl.has(name))
    .map((name) => [name, file[name]] as const);
  return { ...Object.fromEntries(defaults), ...replica };
}

function metaPathOf(entry: DatabaseEntry, subpath: string): string | undefined {
  const base = entry["meta-dir"];
  if (base !== undefined) return join(localPath(base), `${subpath}-litestream`);
  return placeOf(entry["meta-path"], subpath, "litestream");
}

/** For a database of a directory, `base` is above one directory for each. */
function placeOf(base: string | undefined, subpath: string, kind: string): string | undefined {
  if (base === undefined) return undefined;
  const root = localPath(base);
  return subpath === "" ? root : join(root, dirname(subpath), `.${basename(subpath)}-${kind}`);
}
