// Reads a configuration file, Litestream's or our own, into what Headwater is to do. The file is read once, at the edge:
// whoever has a `Config` needs to check nothing.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { HeadwaterError, messageOf } from "../../../core/base/errors.ts";
import { nearestOf } from "../../../core/base/nearest.ts";
import type { Environment } from "../../store/s3-settings.ts";
import { realPathOf } from "../state-directory.ts";
import { toEntry } from "./database-config.ts";
import type { DatabaseConfig, DirectoryConfig, Entry } from "./database-config.ts";
import { findDatabases } from "./directory.ts";
import type { FindOptions } from "./directory.ts";
import { expandVariables } from "./expand.ts";
import { keyNotes } from "./key-notes.ts";
import { configSchema } from "./keys.ts";
import type { ConfigFile } from "./keys.ts";
import { Remarks, formatKeyPath } from "./mistakes.ts";
import type { KeyPath, Remark } from "./mistakes.ts";
import { toRegistered } from "./registered.ts";
import { sectionAt, walkKeys } from "./schema-walk.ts";
import { toMcpConfig, toMonitorConfig, toSocketConfig } from "./services.ts";
import type { McpConfig, MonitorConfig, SocketConfig } from "./services.ts";
import { parseYaml } from "./yaml-source.ts";

/** What a configuration file says. */
export interface Config {
  readonly path: string;
  /** In the order of the file; those of a directory as they were found. */
  readonly databases: readonly DatabaseConfig[];
  /** Those of them that are not of a watched directory. */
  readonly fixedDatabases: readonly DatabaseConfig[];
  readonly directories: readonly DirectoryConfig[];
  /** Directories of the file in which no database was found, and which are not watched. */
  readonly emptyDirectories: readonly string[];
  readonly watchedDirectories: readonly WatchedDirectory[];
  /** The database at an absolute path, also one of a directory that is not there yet. */
  readonly databaseAt: (path: string) => DatabaseConfig | undefined;
  /** As the entry of a database that is registered while Headwater runs, with what the file says for all. */
  readonly register: (path: string, replicaUrl: string) => DatabaseConfig;
  readonly exec: string | undefined;
  readonly logging: {
    readonly level: string | undefined;
    readonly type: "text" | "json" | "pretty";
    readonly stderr: boolean;
  };
  /** For the last uploads of all databases together. */
  readonly shutdownSyncTimeoutMs: number | undefined;
  /** Quiet after which a database is put to rest; 0 = never. */
  readonly hibernateAfterMs: number | undefined;
  /** The keys that count once, when the process starts. */
  readonly atStart: Readonly<Record<string, unknown>>;
  readonly socket: SocketConfig;
  /** `undefined`: no MCP server. */
  readonly mcp: McpConfig | undefined;
  readonly monitor: MonitorConfig;
  readonly warnings: readonly Remark[];
}

/** A directory whose databases come and go. */
export interface WatchedDirectory {
  readonly directory: string;
  /** The databases that are in it now. */
  readonly find: (options: FindOptions) => readonly DatabaseConfig[];
}

export interface ReadConfigOptions {
  readonly environment: Environment;
  /** Replace `$NAME` and `${NAME}` in the text. Default true. */
  readonly expandEnv?: boolean | undefined;
  /** An unknown key is a warning. */
  readonly lenient?: boolean | undefined;
  /** Files that this process has open as databases; see `FindOptions`. */
  readonly isOpen?: ((path: string) => boolean) | undefined;
}

const keysAtStart = [
  "exec",
  "logging",
  "hibernate-after",
  "shutdown-sync-timeout",
  "socket",
  "addr",
  "push",
  "health-max-lag",
  "heartbeat-url",
  "heartbeat-interval",
  "webhook-url",
  "mcp-addr",
  "mcp-token",
] as const;

/** Reads and checks the file. Throws `config/invalid` with all its mistakes, each with line and column. */
export function readConfig(path: string, options: ReadConfigOptions): Config {
  const { environment, expandEnv = true } = options;
  const raw = readText(path);
  const source = parseYaml(path, expandEnv ? expandVariables(raw, environment, process.pid) : raw);
  const remarks = new Remarks(path, source.positionOf);
  const file = toFile(source.value ?? {}, remarks, options);
  remarks.throwMistakes();
  const entries = (file.dbs ?? []).flatMap(
    (entry, index) => toEntry(entry, { remarks, at: ["dbs", index], environment, file }) ?? [],
  );
  remarks.throwMistakes();
  const found = entries.flatMap((entry) =>
    databasesOf(entry, options).map((database) => ({
      at: entry.at,
      isFixed: entry.kind === "database" || !entry.isWatched,
      database: Object.freeze(database),
    })),
  );
  const mcp = toMcpConfig(file, remarks);
  const monitor = toMonitorConfig(file, remarks);
  checkDistinct(found, remarks);
  remarks.throwMistakes();
  const filled = new Set(found.map(({ at }) => at));
  return Object.freeze({
    path,
    databases: Object.freeze(found.map(({ database }) => database)),
    fixedDatabases: Object.freeze(
      found.flatMap(({ isFixed, database }) => (isFixed ? [database] : [])),
    ),
    directories: Object.freeze(entries.filter((entry) => entry.kind === "directory")),
    emptyDirectories: Object.freeze(
      entries.flatMap((entry) =>
        entry.kind === "directory" && !entry.isWatched && !filled.has(entry.at)
          ? [entry.directory]
          : [],
      ),
    ),
    watchedDirectories: Object.freeze(entries.flatMap((entry) => toWatched(entry))),
    databaseAt: (wanted: string) => databaseAt(entries, wanted),
    register: (wanted: string, replicaUrl: string) => {
      const registered = toRegistered(wanted, replicaUrl, { file, environment });
      const listed = databaseAt(entries, wanted);
      const isSame = isDeepStrictEqual(listed?.replicaIdentities, registered.replicaIdentities);
      return listed !== undefined && isSame ? listed : registered;
    },
    exec: file.exec,
    logging: Object.freeze({
      level: file.logging?.level,
      type: file.logging?.type ?? "text",
      stderr: file.logging?.stderr ?? false,
    }),
    shutdownSyncTimeoutMs: file["shutdown-sync-timeout"] || undefined,
    hibernateAfterMs: file["hibernate-after"],
    atStart: Object.freeze(Object.fromEntries(keysAtStart.map((key) => [key, file[key]]))),
    socket: Object.freeze(toSocketConfig(file)),
    mcp: mcp && Object.freeze(mcp),
    monitor: Object.freeze(monitor),
    warnings: Object.freeze(remarks.warnings),
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new HeadwaterError(
      "config/invalid",
      `The configuration file ${path} cannot be read: ${messageOf(error)}. Give its path with -config.`,
      { data: { path }, cause: error },
    );
  }
}

/** The values of the file by the table of keys. Mistakes go into the remarks; what is returned then must not be used. */
function toFile(value: unknown, remarks: Remarks, options: ReadConfigOptions): ConfigFile {
  noteKeys(value, remarks);
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  let unknown = 0;
  for (const issue of parsed.error.issues) {
    const at = issue.path.filter((step) => typeof step !== "symbol");
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) {
        unknown++;
        remarkUnknown([...at, key], remarks, options);
        if (options.lenient === true) removeKey(value, at, key);
      }
    } else {
      remarks.mistake(at, problemOf(issue));
    }
  }
  remarks.throwMistakes();
  return unknown > 0 ? configSchema.parse(value) : {};
}

/** Warnings for keys without effect, mistakes for refused ones. */
function noteKeys(value: unknown, remarks: Remarks): void {
  walkKeys(configSchema, value, (path, schema) => {
    const note = keyNotes.get(schema);
    if (note === undefined || note.effect === "used") return true;
    if (note.effect === "none") remarks.warning(path, `has no effect. ${note.means}`);
    else remarks.mistake(path, `is refused. ${note.means}`);
    return false;
  });
}

function remarkUnknown(at: KeyPath, remarks: Remarks, { lenient }: ReadConfigOptions): void {
  const section = Object.keys(sectionAt(configSchema, at.slice(0, -1)));
  const nearest = nearestOf(String(at.at(-1)), section);
  const all =
    section.length > 12
      ? "docs/configuration.md lists them."
      : `Known here are ${section.join(", ")}.`;
  const hint = nearest === undefined ? all : `Did you mean ${nearest}?`;
  if (lenient === true) remarks.warning(at, `is not a key of this section, and ignored. ${hint}`);
  else remarks.mistake(at, `is not a key of this section. ${hint}`);
}

function problemOf(issue: { readonly code: string; readonly message: string }): string {
  if (issue.code === "custom") return issue.message;
  const expected = "expected" in issue ? String(issue.expected) : "";
  const wanted = { string: "a single value", array: "a list", object: "a section of keys" };
  const name = Object.entries(wanted).find(([type]) => type === expected)?.[1];
  return name === undefined ? `is wrong: ${issue.message}.` : `must be ${name}.`;
}

function removeKey(root: unknown, at: KeyPath, key: string): void {
  let section: unknown = root;
  for (const step of at) {
    if (typeof section !== "object" || section === null) return;
    section = Reflect.get(section, step);
  }
  if (typeof section === "object" && section !== null) Reflect.deleteProperty(section, key);
}

interface Found {
  readonly at: KeyPath;
  readonly database: DatabaseConfig;
}

function databasesOf(entry: Entry, options: FindOptions): readonly DatabaseConfig[] {
  if (entry.kind === "database") return [entry.database];
  return findDatabases(entry.directory, entry, options).flatMap(
    (path) => entry.databaseAt(path) ?? [],
  );
}

function toWatched(entry: Entry): readonly WatchedDirectory[] {
  if (entry.kind !== "directory" || !entry.isWatched) return [];
  const { directory } = entry;
  return [{ directory, find: (options) => databasesOf(entry, options) }];
}

/** Two engines on one database, or two databases in one replica, would be two writers of one history. */
function checkDistinct(found: readonly Found[], remarks: Remarks): void {
  const seen = new Map<string, KeyPath>();
  for (const { at, database } of found) {
    const { path, stateDir, metaPath } = database.options;
    const claims = [
      [`database ${realPathOf(path)}`, `is the database of ${path}, which`],
      ...database.replicaIdentities.map(
        (identity) => [`replica ${identity}`, `has a replica which`] as const,
      ),
      ...Object.entries({ "state-dir": stateDir, "meta-path": metaPath })
        .filter(([, directory]) => directory !== undefined)
        .map(([key, directory]) => [`${key} ${directory}`, `has a ${key} which`] as const),
    ] as const;
    for (const [claim, text] of claims) {
      const before = seen.get(claim);
      if (before !== undefined)
        remarks.mistake(at, `${text} ${formatKeyPath(before)} has already. Each needs its own.`);
      seen.set(claim, at);
    }
  }
}

function databaseAt(entries: readonly Entry[], path: string): DatabaseConfig | undefined {
  const real = realPathOf(path);
  for (const entry of entries) {
    if (entry.kind === "directory") {
      const database = entry.databaseAt(path);
      if (database !== undefined) return database;
    } else if (realPathOf(entry.database.options.path) === real) {
      return entry.database;
    }
  }
  return undefined;
}
