// Which files a fleet has open as databases, for one look at many paths. The files of the fleet are looked at once for all
// of them, and only if there is a path that the fleet does not know: it may be another name of one of its databases.
import { statSync } from "node:fs";
import type { Fleet } from "./fleet.ts";

/** Holds for as long as nothing is waited for: what a path leads to can change at any moment. */
export class OpenFiles {
  readonly #fleet: Fleet;
  #files: Set<string> | undefined;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** True if this process has the file at the path open, be it under another name. */
  has(path: string): boolean {
    if (this.#fleet.get(path) !== undefined) return true;
    const file = fileAt(path);
    if (file === undefined) return false;
    this.#files ??= new Set(this.#fleet.databases.flatMap((one) => fileAt(one.path) ?? []));
    return this.#files.has(file);
  }

  /** The fleet has taken in a database. */
  note(path: string): void {
    const file = fileAt(path);
    if (file !== undefined) this.#files?.add(file);
  }
}

/** What a path leads to: device and inode. */
function fileAt(path: string): string | undefined {
  const status = statSync(path, { bigint: true, throwIfNoEntry: false });
  return status && `${status.dev}:${status.ino}`;
}
