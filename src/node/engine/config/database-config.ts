// One entry of `dbs` as the options of one or more replications.
import { basename, dirname, join, relative } from "node:path";
import { must } from "../../../core/base/assert.ts";
import { localPath } from "../../base/local-path.ts";
import { replicasOf } from "../engine-options.ts";
import type { ReplicaOptions, ReplicateOptions } from "../engine-options.ts";
import { matchesDirectory, patternOf } from "./directory.ts";
import type { ConfigFile, DatabaseEntry } from "./keys.ts";
import type { KeyPath } from "./mistakes.ts";
import { budgetOf, replicasOfEntry } from "./replica-entries.ts";
import type { EntryContext } from "./replica-entries.ts";
import { toReplicaPlace } from "./replica-url.ts";
import type { ReplicaPlace } from "./replica-url.ts";
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
  const replicas = replicasOfEntry(entry, context);
  if (replicas === undefined) return undefined;
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
        ...placeOptions(
          places.map((place, index) => ({ ...place, manifest: replicas[index]?.replica.manifest })),
        ),
        syncIntervalMs,
        ...budget,
        stateDir: placeOf(entry["state-dir"], subpath, "headwater"),
        metaPath: metaPathOf(entry, subpath),
        takeOver: entry["take-over"],
        leaseTtlMs: entry.lease === false ? 0 : entry["lease-ttl"],
        maxWalSizeBytes: entry["max-wal-size"],
        maxStagingBytes: entry["max-staging"],
        ...retentionOf(entry, context.file),
        pushIntervalMs: settingOf("push-interval", entry, context.file),
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

/** What a database leaves out comes from the top of the file. */
function settingOf(
  name: "push-interval" | "verify-interval" | "verify-restore-interval",
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

function placeOptions(
  places: readonly (ReplicaPlace & Pick<ReplicaOptions, "manifest">)[],
): Pick<ReplicateOptions, "replica" | "secrets" | "replicas" | "manifest"> {
  const frozen = places.map(({ url, secrets, manifest }) =>
    Object.freeze({
      url,
      secrets: secrets === undefined ? undefined : Object.freeze(secrets),
      manifest,
    }),
  );
  const [first, ...others] = frozen;
  return first !== undefined && others.length === 0
    ? { replica: first.url, secrets: first.secrets, manifest: first.manifest }
    : { replicas: Object.freeze(frozen) };
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
