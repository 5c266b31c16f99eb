// Files below a directory in the order of their keys, looking only where the prefix and `after` leave room.
import { posix } from "node:path";
import { mapConcurrent, throwIfAborted } from "../../core/base/async.ts";
import { platformCode } from "../../core/base/errors.ts";
import type { FileStatus, FileSystem } from "../../core/base/file-system.ts";
import { isKey } from "../../core/store/object-key.ts";
import type { ListOptions } from "../../core/store/object-store.ts";
import { fileWork } from "./file-errors.ts";
import { isTemporaryName } from "./temporary-files.ts";

const statusConcurrency = 16;

export interface ListedFile {
  readonly key: string;
  readonly status: FileStatus;
}

/** Regular files under `root`, in code-unit order of keys. A missing root has none. */
export async function* listFiles(
  fileSystem: FileSystem,
  root: string,
  options: ListOptions,
): AsyncGenerator<ListedFile, void, undefined> {
  throwIfAborted(options);
  // Everything wanted lies below the last slash of the prefix.
  const start = options.prefix.slice(0, options.prefix.lastIndexOf("/") + 1);
  if (start !== "" && !isKey(start.slice(0, -1))) return;
  yield* listDirectory(fileSystem, root, start, options);
}

async function* listDirectory(
  fileSystem: FileSystem,
  root: string,
  base: string,
  options: ListOptions,
): AsyncGenerator<ListedFile, void, undefined> {
  const directory = posix.join(root, base);
  const names = await fileWork(directory, namesIn(fileSystem, directory));
  const keys = names
    .filter((name) => !isTemporaryName(name) && isKey(name) && mayHoldWanted(base + name, options))
    .map((name) => base + name);
  const entries = await mapConcurrent(keys, statusConcurrency, async (key) => {
    throwIfAborted(options);
    const path = posix.join(root, key);
    const status = await fileWork(path, fileSystem.status(path));
    // A directory sorts as its contents do: "a-b" comes before "a/x", although "a" comes before "a-b".
    return { key, status, order: status?.kind === "directory" ? `${key}/` : key };
  });
  entries.sort((a, b) => (a.order < b.order ? -1 : 1));
  for (const { key, status, order } of entries) {
    throwIfAborted(options);
    if (status?.kind === "directory") yield* listDirectory(fileSystem, root, order, options);
    else if (status?.kind === "file" && isWanted(key, options)) yield { key, status };
  }
}

function isWanted(key: string, { prefix, after }: ListOptions): boolean {
  return key.startsWith(prefix) && (after === undefined || key > after);
}

/** Whether `key`, or anything below it should it be a directory, can be wanted: spares looking at the others. */
function mayHoldWanted(key: string, { prefix, after }: ListOptions): boolean {
  const below = `${key}/`;
  if (!key.startsWith(prefix) && !below.startsWith(prefix) && !prefix.startsWith(below))
    return false;
  return after === undefined || key > after || below > after || after.startsWith(below);
}

async function namesIn(fileSystem: FileSystem, directory: string): Promise<readonly string[]> {
  try {
    return (await fileSystem.list(directory)) ?? [];
  } catch (error) {
    if (platformCode(error) === "ENOTDIR") return [];
    throw error;
  }
}
