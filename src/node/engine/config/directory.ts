// `dir` entries: which files of a directory are its databases.
import { closeSync, openSync, readSync, readdirSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { platformCode } from "../../../core/base/errors.ts";

interface Selection {
  readonly pattern: RegExp;
  readonly recursive: boolean;
}

export interface FindOptions {
  /**
   * Files that this process has open as databases. They are databases, and are not opened here: closing them again would
   * take SQLite's locks away. Default none.
   */
  readonly isOpen?: ((path: string) => boolean) | undefined;
  /** Called with each directory before it is read: whoever watches it from then on misses nothing. */
  readonly onDirectory?: ((directory: string) => void) | undefined;
}

/** What every SQLite database begins with. */
const magic = "SQLite format 3\0";

/** A shell's pattern for one name (`*`, `?`, `[a-z]`, `\`); `undefined` if a bracket is not closed. */
export function patternOf(glob: string): RegExp | undefined {
  const part =
    /\\(?<escaped>.)|\[(?<not>\^?)(?<set>(?:\\.|[^\]\\])+)\]|(?<any>[*?])|(?<plain>[\s\S])/gu;
  let source = "";
  for (const { groups = {} } of glob.matchAll(part)) {
    const { escaped, not = "", set, any, plain } = groups;
    if (plain === "[") return undefined;
    if (set !== undefined) source += `[${not}${set.replaceAll(/[[&|~^]/gu, String.raw`\$&`)}]`;
    else if (any !== undefined) source += any === "*" ? "[^/]*" : "[^/]";
    else source += (escaped ?? plain ?? "").replaceAll(/[\\^$.*+?()[\]{}|/]/gu, String.raw`\$&`);
  }
  try {
    return new RegExp(`^${source}$`, "u");
  } catch {
    return undefined;
  }
}

/** Whether a path relative to the directory belongs to it, by its name alone. */
export function matchesDirectory(subpath: string, { pattern, recursive }: Selection): boolean {
  if (subpath === "" || subpath.startsWith("..") || isAbsolute(subpath)) return false;
  const parts = subpath.split("/");
  if (!recursive && parts.length > 1) return false;
  if (parts.slice(0, -1).some(isStateName)) return false;
  return isDatabaseName(basename(subpath), pattern);
}

/** The databases below a directory, sorted. Files that begin as SQLite's do; state directories hold none. */
export function findDatabases(
  directory: string,
  selection: Selection,
  { isOpen = () => false, onDirectory = () => undefined }: FindOptions = {},
): readonly string[] {
  const found: string[] = [];
  const search = (place: string): void => {
    onDirectory(place);
    for (const item of entriesOf(place)) {
      const path = join(place, item.name);
      if (item.isDirectory()) {
        if (selection.recursive && !isStateName(item.name)) search(path);
      } else if (isDatabaseName(item.name, selection.pattern)) {
        if (isOpen(path) || hasMagic(path)) found.push(path);
      }
    }
  };
  search(directory);
  return found.toSorted();
}

function entriesOf(directory: string): ReturnType<typeof readNames> {
  try {
    return readNames(directory);
  } catch (error) {
    if (platformCode(error) === "ENOENT") return [];
    throw error;
  }
}

function readNames(directory: string): { name: string; isDirectory(): boolean }[] {
  return readdirSync(directory, { withFileTypes: true });
}

/** Where we or a Litestream keep the local state of a database. */
export function isStateName(name: string): boolean {
  return /^\..*-(?:headwater|litestream)$/u.test(name);
}

/** A file that SQLite keeps beside a database. */
export function isCompanionName(name: string): boolean {
  return /-(?:wal|shm|journal)$/u.test(name);
}

function isDatabaseName(name: string, pattern: RegExp): boolean {
  return pattern.test(name) && !isCompanionName(name);
}

function hasMagic(path: string): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    const bytes = new Uint8Array(magic.length);
    return (
      readSync(descriptor, bytes) === bytes.length && new TextDecoder().decode(bytes) === magic
    );
  } catch (error) {
    // Gone in the meantime, or something with a database's name that cannot be read as a file.
    if (["ENOENT", "EISDIR", "ENXIO"].includes(platformCode(error) ?? "")) return false;
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
