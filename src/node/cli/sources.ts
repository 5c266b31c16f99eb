// What a command's SOURCE means: a URL is a replica, an existing directory is a replica on this machine, any other path is
// a database whose replicas are written in the state directory beside it.
import { readFile, readdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import { stateDirectoryOf } from "../engine/state-directory.ts";
import { usage } from "./values.ts";

export interface Source {
  /** URL of the replica. */
  readonly url: string;
  /** The database that was named, if it was one: where it is restored to without an output. */
  readonly databasePath: string | undefined;
}

/** Throws `usage/invalid` if a database is named of which no replica, or more than one, is known. */
export async function resolveSource(text: string): Promise<Source> {
  if (text === "")
    throw usage("The source is empty. Give the URL of a replica or the path of a database.");
  if (isReplicaUrl(text)) return { url: text, databasePath: undefined };
  const path = localPath(text);
  if (await isDirectory(path)) return { url: pathToFileURL(path).href, databasePath: undefined };
  const urls = await replicasOf(path);
  const [url] = urls;
  if (url === undefined) {
    throw usage(
      `No replica of ${path} is known: there is no state directory ${stateDirectoryOf(path)} beside it. ` +
        "Give the URL of the replica, such as file:///backups/app or s3://bucket/app.",
    );
  }
  if (urls.length > 1) {
    throw usage(`${path} has several replicas. Give the URL of one: ${urls.join(", ")}.`);
  }
  return { url, databasePath: path };
}

/** The kind of store behind a URL: its scheme. */
export function replicaKind(url: string): string {
  return /^[a-z0-9+.-]+/iu.exec(url)?.[0].toLowerCase() ?? "";
}

/** `sqlite://` and `sqlite3://` prefixes are dropped, `~` is the home directory, the result is absolute. */
export function localPath(text: string): string {
  const path = text.replace(/^sqlite3?:\/\//u, "");
  return resolve(path === "~" || path.startsWith("~/") ? homedir() + path.slice(1) : path);
}

function isReplicaUrl(text: string): boolean {
  return /^\w+:\/\//u.test(text) && !/^sqlite3?:\/\//u.test(text);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** The URLs in the state directory beside the database's real path; the database itself may be gone. */
async function replicasOf(path: string): Promise<readonly string[]> {
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
    if (typeof record === "object" && record !== null && "url" in record) {
      if (typeof record.url === "string") return record.url;
    }
    throw new Error("it holds no url");
  } catch (error) {
    throw new HeadwaterError(
      "engine/state",
      `${path} cannot be read: ${messageOf(error)}. Give the URL of the replica instead.`,
      { data: { path }, cause: error },
    );
  }
}
