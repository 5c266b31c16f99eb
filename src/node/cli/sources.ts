// What a command's SOURCE means: a URL is a replica, an existing directory is a replica on this machine, any other path is
// a database whose replica is written in the configuration file or in the state directory beside it.
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HeadwaterError, hasCode, messageOf, platformCode } from "../../core/base/errors.ts";
import { isRecord } from "../../core/base/record.ts";
import { localPath } from "../base/local-path.ts";
import type { DatabaseConfig } from "../engine/config/database-config.ts";
import { replicasOf } from "../engine/engine-options.ts";
import type { ReplicateOptions } from "../engine/engine-options.ts";
import { stateDirectoryOf } from "../engine/state-directory.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import type { CliContext } from "./command.ts";
import { findConfig, refuseConfig } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { usage } from "./values.ts";

export interface Source {
  /** URL of the replica. */
  readonly url: string;
  /** What opens its store, if the configuration file says it. */
  readonly secrets: StoreSecrets | undefined;
  /** The database that was named, if it was one: where it is restored to without an output. */
  readonly databasePath: string | undefined;
}

/**
 * A URL is itself, a directory too. A database is looked for in the configuration file, then in its state directory; a
 * file that was named with -config is the only place. Throws `usage/invalid` if no replica, or more than one, is known.
 */
export async function resolveSource(
  text: string,
  flags: ConfigFlags,
  context: CliContext,
): Promise<Source> {
  if (text === "")
    throw usage("The source is empty. Give the URL of a replica or the path of a database.");
  const unnamed = { databasePath: undefined, secrets: undefined };
  if (isReplicaUrl(text)) {
    refuseConfig(flags, "the URL of a replica");
    return { ...unnamed, url: text };
  }
  const path = localPath(text);
  if (flags.config === undefined && (await isDirectory(path)))
    return { ...unnamed, url: pathToFileURL(path).href };
  const listed = await listedDatabase(path, flags, context);
  if (listed !== undefined) {
    return { ...sourceOfListed(listed.options), databasePath: path };
  }
  const urls = await recordedReplicas(path);
  const [url] = urls;
  if (url === undefined) {
    throw usage(
      `No replica of ${path} is known: there is no state directory ${stateDirectoryOf(path)} beside it, and no ` +
        "configuration file lists it. Give the URL of the replica, such as file:///backups/app or s3://bucket/app.",
    );
  }
  if (urls.length > 1) throw severalReplicas(path, urls);
  return { url, secrets: undefined, databasePath: path };
}

/** The replica of a listed database. Throws `usage/invalid` if it has several. */
export function sourceOfListed(
  options: Pick<ReplicateOptions, "path" | "replica" | "secrets" | "replicas">,
): Source {
  const replicas = replicasOf(options);
  const [replica, ...others] = replicas;
  if (replica !== undefined && others.length === 0)
    return { url: replica.url, secrets: replica.secrets, databasePath: options.path };
  throw severalReplicas(
    options.path,
    replicas.map(({ url }) => url),
  );
}

function severalReplicas(path: string, urls: readonly string[]): HeadwaterError {
  return usage(`${path} has several replicas. Give the URL of one: ${urls.join(", ")}.`);
}

/** What the configuration file says of the database at an absolute path. Throws `usage/invalid` if a named file lists no such. */
export async function listedDatabase(
  path: string,
  flags: ConfigFlags,
  context: CliContext,
): Promise<DatabaseConfig | undefined> {
  if (flags.config !== undefined) {
    const config = await findConfig(flags, context);
    const listed = config?.databaseAt(path);
    if (listed === undefined) throw usage(`${flags.config} lists no database ${path}.`);
    return listed;
  }
  try {
    const config = await findConfig(flags, context);
    return config?.databaseAt(path);
  } catch (error) {
    // A mistake in a file that nobody has named must not stand in the way of a restore.
    if (!hasCode(error, "config/invalid")) throw error;
    context.inform(`Warning: the configuration file is not used.\n${error.message}\n`);
    return undefined;
  }
}

/** The kind of store behind a URL: its scheme. */
export function replicaKind(url: string): string {
  return /^[a-z0-9+.-]+/iu.exec(url)?.[0].toLowerCase() ?? "";
}

/** True for text with a scheme, except SQLite's own for a path. */
export function isReplicaUrl(text: string): boolean {
  return /^\w+:\/\//u.test(text) && !/^sqlite3?:\/\//u.test(text);
}

export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** The URLs in the state directory beside the database's real path; the database itself may be gone. */
export async function recordedReplicas(path: string): Promise<readonly string[]> {
  const directory = join(stateDirectoryOf(path), "replicas");
  try {
    const names = (await readdir(directory)).filter((name) => name.endsWith(".json")).toSorted();
    const urls = await Promise.all(names.map((name) => readUrl(join(directory, name))));
    return [...new Set(urls)];
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(platformCode(error) ?? "")) return [];
    throw error;
  }
}

async function readUrl(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  try {
    const record: unknown = JSON.parse(text);
    if (isRecord(record) && typeof record["url"] === "string") return record["url"];
    throw new Error("it holds no url");
  } catch (error) {
    throw new HeadwaterError(
      "engine/state",
      `${path} cannot be read: ${messageOf(error)}. Give the URL of the replica instead.`,
      { data: { path }, cause: error },
    );
  }
}
