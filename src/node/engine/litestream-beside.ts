// A Litestream that has worked, or still works, on the same database. Left in place, its local files would be
// appended to our history by a Litestream started later; so they are set aside before we put anything.
import { bodyOf } from "../../core/store/object-store.ts";
import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { HeadwaterError, platformCode } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import { parseLtxName } from "../../core/ltx/file-name.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { readWhole } from "./durable-file.ts";
import type { EngineParts, ReplicaParts } from "./parts.ts";
import type { ReplicaSurvey } from "./replica-survey.ts";
import { asideSuffix } from "./state-directory.ts";
import type { Waiting } from "./waiting.ts";

/** Level-0 files of a Litestream beside us that are compared with the replica's. */
const compareLimit = 16;

interface LitestreamFile {
  readonly txid: Txid;
  readonly bytes: Uint8Array;
}

/** Litestream's state directory of a database where no `meta-path` says otherwise, whether it is there or not. */
export function litestreamStateOf(databasePath: string): string {
  return join(dirname(databasePath), `.${basename(databasePath)}-litestream`);
}

/** Looked at every second for each database at work: a turn of the thread pool for it would cost more than all the rest. */
export function hasLitestream({
  litestreamDirectory,
}: Pick<EngineParts, "litestreamDirectory">): boolean {
  try {
    return statSync(litestreamDirectory, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (platformCode(error) === "ENOTDIR") return false;
    throw error;
  }
}

/** Notices a Litestream that starts while we work. */
export class LitestreamWatch {
  readonly #parts: EngineParts;
  #isKnown = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** One was there at the last look. */
  get isThere(): boolean {
    return this.#isKnown;
  }

  /** One that is there now is known: it is set aside on the way, or serves another replica. */
  note(): void {
    this.#isKnown = hasLitestream(this.#parts);
  }

  /** Throws `engine/litestream` if one has come since it was looked for. */
  check(): void {
    const { path } = this.#parts;
    const wasKnown = this.#isKnown;
    this.#isKnown = hasLitestream(this.#parts);
    if (wasKnown || !this.#isKnown) return;
    throw new HeadwaterError(
      "engine/litestream",
      `A Litestream has started on ${path}. Both would write the same history: stop Litestream, then start again.`,
      { data: { path } },
    );
  }
}

/** Its newest level-0 files, newest first, at most `limit`. */
async function litestreamFiles(
  fileSystem: FileSystem,
  directory: string,
  limit: number,
): Promise<readonly LitestreamFile[]> {
  const level0 = join(directory, "0");
  const names = ((await fileSystem.list(level0)) ?? []).filter(
    (name) => parseLtxName(name) !== undefined,
  );
  const files: LitestreamFile[] = [];
  for (const name of names.toReversed().slice(0, limit)) {
    const txid = parseLtxName(name)?.maxTxid;
    const bytes = await readWhole(fileSystem, join(level0, name));
    if (bytes !== undefined && txid !== undefined) files.push({ txid, bytes });
  }
  return files;
}

/** Renames the directory; a Litestream that still runs stops at that. Returns the new name. */
async function renameAside(
  fileSystem: FileSystem,
  directory: string,
  suffix: string,
): Promise<string> {
  const to = `${directory}.${suffix}`;
  await fileSystem.rename(directory, to);
  await fileSystem.syncDirectory(dirname(directory));
  return to;
}

/**
 * Sets a Litestream beside the database aside if this is its replica; true if it did. One that serves another replica is
 * left alone.
 */
export async function setAsideLitestream(
  parts: ReplicaParts,
  { files, head }: ReplicaSurvey,
  waiting: Waiting,
): Promise<boolean> {
  if (!hasLitestream(parts)) return false;
  const { fileSystem, path, litestreamDirectory, clock, random, logger, link } = parts;
  let belongs = head?.header.nodeId === 0n;
  if (!belongs) {
    const bySize = new Map(
      files.filter((file) => file.level === 0).map((file) => [file.maxTxid, file]),
    );
    for (const local of await litestreamFiles(fileSystem, litestreamDirectory, compareLimit)) {
      const there = bySize.get(local.txid);
      if (there === undefined || there.sizeBytes !== local.bytes.length) continue;
      belongs = await link.isIdentical(there.key, bodyOf(local.bytes), waiting);
      if (belongs) break;
    }
  }
  if (!belongs) {
    logger.log("warn", "litestream.other-replica", { path });
    return false;
  }
  const to = await renameAside(fileSystem, litestreamDirectory, asideSuffix(clock.nowMs(), random));
  logger.log("warn", "litestream.set-aside", { to });
  return true;
}
