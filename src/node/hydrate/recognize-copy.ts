// Finds the copy that an earlier process, or a failure, has left: by what is noted of it, never by its looks alone.
import type { OpenFile } from "../../core/base/file-system.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import { spoolPathOf } from "../follow/collected-change.ts";
import { imagePathOf } from "../follow/image.ts";
import { isSameOutput } from "../follow/output-file.ts";
import { readHeader, scanChecksums } from "../follow/scan-checksums.ts";
import type { KnownState, Position, StateFile } from "../follow/state-file.ts";
import type { Environment } from "../restore/environment.ts";

/** The paths of the two copies. */
export function slotsOf(path: string): readonly [left: string, right: string] {
  return [path, `${path}-right`];
}

/** A copy that is, byte for byte, what is known of it. */
export interface FoundCopy {
  readonly path: string;
  readonly position: Position;
  readonly checksums: PageChecksums;
}

export interface RecognizeCopyOptions {
  readonly environment: Pick<Environment, "fileSystem">;
  readonly codec: Codec;
  /** Of the left copy. */
  readonly path: string;
  readonly state: StateFile;
}

/**
 * Removes what a dead process has left half done. Costs a look at the copies' status where the newest is as it was left,
 * else reading it whole.
 */
export async function recognizeCopy(options: RecognizeCopyOptions): Promise<FoundCopy | undefined> {
  const { environment, path, state } = options;
  const { fileSystem } = environment;
  const slots = slotsOf(path);
  for (const leftOver of [spoolPathOf(path), ...slots.map(imagePathOf)]) {
    await fileSystem.unlink(leftOver);
  }
  const known = state.last();
  if (known === undefined) return undefined;
  for (const isQuick of [true, false]) {
    for (const slot of slots) {
      const status = await fileSystem.status(slot);
      if (status?.kind !== "file" || status.sizeBytes === 0) continue;
      await using file = await fileSystem.open(slot, "read");
      if (!(await isOf(file, known, isQuick, options))) continue;
      if (!isQuick) state.recognize(await file.status());
      return { path: slot, position: known.position, checksums: known.checksums };
    }
  }
  return undefined;
}

async function isOf(
  file: OpenFile,
  { identity, position, checksums }: KnownState,
  isQuick: boolean,
  { codec }: RecognizeCopyOptions,
): Promise<boolean> {
  try {
    const { changeCounter, pageSize } = await readHeader(file);
    if (changeCounter !== position.changeCounter) return false;
    const status = await file.status();
    if (isQuick) return identity !== undefined && isSameOutput(identity, status);
    if (pageSize !== checksums.pageSize) return false;
    if (status.sizeBytes !== checksums.commit * pageSize) return false;
    const found = await scanChecksums(file, codec, position.patched);
    return found.databaseChecksum === checksums.databaseChecksum;
  } catch (error) {
    if (hasCode(error, "sqlite/invalid")) return false;
    throw error;
  }
}
