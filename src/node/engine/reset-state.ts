// Deletes what Headwater keeps beside a database. The replica and the database are not touched, so the next start finds a
// database that it has never seen: it compares, and sends what differs or a full image.
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { platformCode } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Random } from "../../core/base/random.ts";
import { lockStateDirectory, ownershipOf, stateDirectoryOf } from "./state-directory.ts";
import { readStateFiles } from "./state-summary.ts";
import type { StateSummary } from "./state-summary.ts";

export interface ResetOptions {
  /** The database. */
  readonly path: string;
  readonly stateDir: string | undefined;
  /** Only say what would be deleted. */
  readonly dryRun: boolean;
  readonly fileSystem: FileSystem;
  readonly random: Random;
}

export interface ResetReport {
  readonly stateDirectory: string;
  /** Files and directories, relative to it; empty if there is no state. */
  readonly entries: readonly string[];
  readonly sizeBytes: number;
  /** What the state said; `undefined` if it could not be read. */
  readonly state: StateSummary | undefined;
}

/** The lock stays: two that take it must take the same file. Anything else in the directory is not ours. */
const ours = /^(?:ltx|replicas|page-checksums|state\.json)(?:\..*)?$/u;

/** Throws `engine/locked` while a Headwater works on the database. */
export async function resetState(options: ResetOptions): Promise<ResetReport> {
  const { path, stateDir: stateDirectory = stateDirectoryOf(path), dryRun } = options;
  const entries = (await namesIn(stateDirectory)).filter((name) => ours.test(name)).toSorted();
  const report = async (): Promise<ResetReport> => ({
    stateDirectory,
    entries,
    sizeBytes: await sizeOf(stateDirectory, entries),
    state: await readStateFiles(stateDirectory).catch(() => undefined),
  });
  if (dryRun || entries.length === 0) return report();
  const { fileSystem, random } = options;
  const ownership = ownershipOf(path);
  const lock = await lockStateDirectory({ path: stateDirectory, fileSystem, random, ownership });
  try {
    const done = await report();
    // In one step, as whatever is staged belongs together: a crash from here on leaves no state that counts.
    const doomed = entries.includes("ltx") ? [...entries, "ltx.reset"] : entries;
    if (entries.includes("ltx")) {
      await rm(join(stateDirectory, "ltx.reset"), { recursive: true, force: true });
      await rename(join(stateDirectory, "ltx"), join(stateDirectory, "ltx.reset"));
    }
    for (const name of doomed)
      await rm(join(stateDirectory, name), { recursive: true, force: true });
    return done;
  } finally {
    lock.close();
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (platformCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function sizeOf(directory: string, entries: readonly string[]): Promise<number> {
  let sizeBytes = 0;
  for (const name of entries) {
    const path = join(directory, name);
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) continue;
    sizeBytes += status.isDirectory() ? await sizeOf(path, await namesIn(path)) : status.size;
  }
  return sizeBytes;
}
