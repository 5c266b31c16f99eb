// Small files that are replaced as a whole: after a crash the old or the new content is there, never a mixture.
import { dirname } from "node:path";
import type { FileOwnership, FileSystem, OpenFile } from "../../core/base/file-system.ts";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";
import { isRecord } from "../../core/base/record.ts";

export interface DurableFileOptions {
  readonly ownership?: FileOwnership | undefined;
}

/** Replaces `path` by `bytes`: temporary file, fsync, rename, fsync of the directory. */
export async function writeDurably(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
  { ownership }: DurableFileOptions = {},
): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeSynced(fileSystem, temporary, bytes, { ownership });
  await fileSystem.rename(temporary, path);
  await fileSystem.syncDirectory(dirname(path));
}

/**
 * Replaces `path` by `bytes` without waiting for the disk: after a power cut the old content may be there, the new, or
 * none. Only for what may be lost.
 */
export async function replaceFile(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
  { ownership }: DurableFileOptions = {},
): Promise<void> {
  const temporary = `${path}.tmp`;
  {
    await using file = await fileSystem.open(temporary, "create");
    if (ownership !== undefined) await file.setOwnership(ownership);
    await file.write(bytes, 0);
  }
  await fileSystem.rename(temporary, path);
}

/** Writes and fsyncs `path` in place. Only for a name that means nothing until another file exists. */
export async function writeSynced(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
  { ownership }: DurableFileOptions = {},
): Promise<void> {
  await using file = await fileSystem.open(path, "create");
  if (ownership !== undefined) await file.setOwnership(ownership);
  await file.write(bytes, 0);
  await file.sync();
}

/** All bytes of `path`, or `undefined` if it does not exist. */
export async function readWhole(
  fileSystem: FileSystem,
  path: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  await using file = await openIfThere(fileSystem, path);
  if (file === undefined) return undefined;
  const { sizeBytes } = await file.status();
  const bytes = new Uint8Array(sizeBytes);
  const count = await file.read(bytes, 0);
  return bytes.subarray(0, count);
}

async function openIfThere(fileSystem: FileSystem, path: string): Promise<OpenFile | undefined> {
  try {
    return await fileSystem.open(path, "read");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(platformCode(error) ?? "")) return undefined;
    throw error;
  }
}

export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** A JSON file's content, or `undefined` if it is absent. Throws `engine/state` if it is no JSON object. */
export async function readJson(
  fileSystem: FileSystem,
  path: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const bytes = await readWhole(fileSystem, path);
  if (bytes === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (isRecord(value)) return value;
  } catch (error) {
    throw unreadable(path, messageOf(error), error);
  }
  throw unreadable(path, "it is not a JSON object");
}

function unreadable(path: string, why: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError(
    "engine/state",
    `${path} cannot be read: ${why}. Delete the state directory; the next start takes a full image.`,
    { data: { path }, cause },
  );
}
