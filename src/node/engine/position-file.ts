// `<txid>.pos` beside a staged file: where in the WAL capture stood at the end of it.
import type { FileSystem } from "../../core/base/file-system.ts";
import type { CapturePosition } from "../capture/capture-types.ts";
import { encodeJson, readJson, writeDurably, writeSynced } from "./durable-file.ts";
import type { DurableFileOptions } from "./durable-file.ts";

/** Writes and fsyncs it in place: it means nothing until the staged file is there. */
export function createPosition(
  fileSystem: FileSystem,
  path: string,
  position: CapturePosition,
  options: DurableFileOptions,
): Promise<void> {
  return writeSynced(fileSystem, path, encodeJson(position), options);
}

/** Replaces the position of a file that is staged. */
export function replacePosition(
  fileSystem: FileSystem,
  path: string,
  position: CapturePosition,
  options: DurableFileOptions,
): Promise<void> {
  return writeDurably(fileSystem, path, encodeJson(position), options);
}

/** `undefined` if it is missing or unreadable. */
export async function readPosition(
  fileSystem: FileSystem,
  path: string,
): Promise<CapturePosition | undefined> {
  const value = await readJson(fileSystem, path).catch(() => undefined);
  return value === undefined ? undefined : toPosition(value);
}

function toPosition(value: Readonly<Record<string, unknown>>): CapturePosition | undefined {
  const field = (name: string): number => {
    const number = value[name];
    return typeof number === "number" &&
      Number.isInteger(number) &&
      number >= 0 &&
      number <= 0xffff_ffff
      ? number
      : Number.NaN;
  };
  const position = {
    salt1: field("salt1"),
    salt2: field("salt2"),
    frame: field("frame"),
    checksum1: field("checksum1"),
    checksum2: field("checksum2"),
  };
  return Object.values(position).some(Number.isNaN) ? undefined : position;
}
