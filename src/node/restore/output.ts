// The file a restore makes: what may be in its place, where it is written meanwhile, and how it takes that place, so
// that a crash at any point leaves either the old database with all of its transactions or the new one.
import { realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { toHex } from "../../core/base/bytes.ts";
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import type { Random } from "../../core/base/random.ts";
import { type FoldOutcome, foldSidecars } from "./sqlite-process.ts";

/** What SQLite keeps beside a database. All of it belongs to the old database and none to the new. */
const sidecarSuffixes = ["-wal", "-shm", "-journal"] as const;

/** Ends the name of the file for work beside the output. */
const scratchSuffix = "-scratch";

export interface Output {
  /** Absolute, symbolic links resolved: where SQLite would look for the database's own files. */
  readonly path: string;
  readonly temporaryPath: string;
}

/** Names the output and its temporary file, in the same directory. Makes nothing. */
export async function nameOutput(path: string, random: Random): Promise<Output> {
  const real = await realPathOf(resolve(path));
  return { path: real, temporaryPath: `${real}.tmp-${toHex(random.bytes(6))}` };
}

/**
 * Throws `restore/output` where a directory is in the way, `restore/output-exists` where a database, or something that
 * SQLite left beside one, would be replaced without `force`. An empty file may always be replaced.
 */
export async function checkOutput(
  fileSystem: FileSystem,
  { path }: Output,
  { force }: { readonly force: boolean },
): Promise<void> {
  const status = await guard(path, () => fileSystem.status(path));
  if (status !== undefined && status.kind !== "file") {
    throw new HeadwaterError(
      "restore/output",
      `The output ${path} is a ${status.kind === "directory" ? "directory" : "special file"}. Give the path of a file.`,
      { data: { path } },
    );
  }
  if (force) return;
  const inTheWay = status !== undefined && status.sizeBytes > 0 ? [path] : [];
  for (const sidecar of await sidecarsOf(fileSystem, path)) inTheWay.push(sidecar);
  if (inTheWay.length === 0) return;
  throw new HeadwaterError(
    "restore/output-exists",
    `${inTheWay.join(" and ")} ${inTheWay.length === 1 ? "exists" : "exist"} already. ` +
      "Choose another output, or pass --force to replace it after a successful restore.",
    { data: { path, inTheWay } },
  );
}

/**
 * Moves the finished, synced temporary file into its place, with whatever mode and owner the replaced file had. The old
 * database's WAL or journal is first folded into it by SQLite itself: only then can the two be removed in any order
 * without losing a transaction of the old database, should the machine stop in between. Throws `restore/output`
 * if the old database is in use, and changes nothing then.
 */
export async function publishOutput(
  fileSystem: FileSystem,
  output: Output,
  { signal, force }: Waiting & { readonly force: boolean },
): Promise<void> {
  // Somebody may have made a database there meanwhile.
  await checkOutput(fileSystem, output, { force });
  await guard(output.path, () => replace(fileSystem, output, signal));
}

/**
 * Makes sure, as far as that can be known beforehand, that `publishOutput` will succeed: brings the old database's WAL or
 * journal into it. Throws `restore/output` if the old database is in use, and `restore/output-exists`.
 */
export async function vacateOutput(
  fileSystem: FileSystem,
  output: Output,
  { signal, force }: Waiting & { readonly force: boolean },
): Promise<void> {
  await checkOutput(fileSystem, output, { force });
  await guard(output.path, async () => {
    await foldOld(fileSystem, output.path, await sidecarsOf(fileSystem, output.path), signal);
  });
}

async function replace(
  fileSystem: FileSystem,
  { path, temporaryPath }: Output,
  signal: AbortSignal | undefined,
): Promise<void> {
  const directory = dirname(path);
  const sidecars = await sidecarsOf(fileSystem, path);
  const outcome = await foldOld(fileSystem, path, sidecars, signal);
  const aside: string[] = [];
  for (const suffix of sidecarSuffixes) {
    if (outcome === "folded") {
      await fileSystem.unlink(path + suffix);
    } else if ((await fileSystem.status(path + suffix)) !== undefined) {
      // No database: whatever these files hold, keep it until the new file is in place.
      await fileSystem.rename(path + suffix, temporaryPath + suffix);
      aside.push(temporaryPath + suffix);
    }
  }
  if (sidecars.length > 0) await fileSystem.syncDirectory(directory);
  await fileSystem.rename(temporaryPath, path);
  await fileSystem.syncDirectory(directory);
  // The new database is in place; what is left of the old one is in nobody's way.
  for (const name of aside) await fileSystem.unlink(name).catch(() => undefined);
}

/** Brings what is in the sidecars into the old database, if there is one. */
async function foldOld(
  fileSystem: FileSystem,
  path: string,
  sidecars: readonly string[],
  signal: AbortSignal | undefined,
): Promise<FoldOutcome> {
  const old = await fileSystem.status(path);
  if (old === undefined || old.sizeBytes === 0 || sidecars.length === 0) return "folded";
  const outcome = await foldSidecars(path, { signal });
  if (outcome !== "busy") return outcome;
  throw new HeadwaterError(
    "restore/output",
    `${path} is open in another program. Stop that program, then restore again; nothing was changed.`,
    { data: { path } },
  );
}

/**
 * Makes the temporary file, and its directory if need be, with the mode and owner of the database that it will replace:
 * the program that uses it must be able to use the new one.
 */
export async function openTemporary(
  fileSystem: FileSystem,
  { path, temporaryPath }: Output,
): Promise<OpenFile> {
  const file = await guard(path, async () => {
    const old = await fileSystem.status(path);
    await fileSystem.makeDirectory(dirname(path));
    const made = await fileSystem.open(temporaryPath, "create-new");
    try {
      if (old !== undefined) await made.setOwnership(old);
    } catch (error) {
      await made.close();
      throw error;
    }
    return made;
  });
  return guarded(path, file);
}

/** A second temporary file, for work beside the first. It is emptied if it is there; `removeScratch` removes it. */
export async function openScratch(
  fileSystem: FileSystem,
  { path, temporaryPath }: Output,
): Promise<OpenFile> {
  const scratch = temporaryPath + scratchSuffix;
  return guarded(path, await guard(path, () => fileSystem.open(scratch, "create")));
}

/** Removes what `openScratch` made. What went wrong before matters more than a file that cannot be removed. */
export async function removeScratch(
  fileSystem: FileSystem,
  { temporaryPath }: Output,
): Promise<void> {
  await fileSystem.unlink(temporaryPath + scratchSuffix).catch(() => undefined);
}

function guarded(path: string, file: OpenFile): OpenFile {
  return {
    ...file,
    write: (bytes, position) => guard(path, () => file.write(bytes, position)),
    truncate: (sizeBytes) => guard(path, () => file.truncate(sizeBytes)),
    sync: () => guard(path, () => file.sync()),
  };
}

/** Runs file work on the output; what the platform throws becomes `restore/output` with the path and the way out. */
async function guard<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = platformCode(error);
    if (error instanceof HeadwaterError || code === undefined || !/^E[A-Z0-9]+$/u.test(code)) {
      throw error;
    }
    throw new HeadwaterError(
      "restore/output",
      `${path} cannot be written: ${adviceOf(code, error)}`,
      {
        data: { path, code },
        cause: error,
      },
    );
  }
}

function adviceOf(code: string, error: unknown): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "there is no space left. Free space, or choose another output.";
    case "EACCES":
    case "EPERM":
      return "permission is denied. Choose another output, or change the permissions of its directory.";
    case "EROFS":
      return "the file system is read-only. Choose another output.";
    case "ENOTDIR":
      return "a part of the path is a file. Choose another output.";
    default:
      return `${messageOf(error)}. Choose another output.`;
  }
}

async function sidecarsOf(fileSystem: FileSystem, path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const suffix of sidecarSuffixes) {
    if ((await fileSystem.status(path + suffix)) !== undefined) found.push(path + suffix);
  }
  return found;
}

/** Resolves links as far as the path exists. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(await realPathOf(parent), basename(path));
  }
}
