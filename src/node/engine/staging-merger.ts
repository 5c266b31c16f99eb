// Staged files that wait for a replica are merged when they become too many or too large: neighbours become wide files, the
// newest stays single. What another replica is about to read one by one stays as it is.
import { Mutex } from "../../core/base/async.ts";
import { messageOf } from "../../core/base/errors.ts";
import { mergeLtx } from "../../core/ltx/merge.ts";
import { levelZeroFields } from "./history.ts";
import type { EngineParts } from "./parts.ts";
import type { StagedFile } from "./staging.ts";
import type { Waiting } from "./waiting.ts";

/** Neighbours merged into one wide file at a time: each is open meanwhile. */
const filesPerMerge = 64;

/** What merging has to respect of one replica. */
export interface StagingReader {
  /** Staged files after this TXID are there for the replica; `undefined`: none are. */
  readonly heldAfter: bigint | undefined;
  /** It is reading them now, each as it is. */
  readonly isReading: boolean;
  /** It is being put, or may have been: its name has to stay. */
  readonly attempted: StagedFile | undefined;
}

export interface MergerHooks {
  readonly readers: () => readonly StagingReader[];
  /** The saved page-checksum table is that of this TXID, and goes on only with a file that begins after it. */
  readonly savedThrough: () => bigint;
}

/** What is to become of the files that a merge may take. */
interface MergeRequest extends Waiting {
  /** Together they may be no larger, unless there is no limit. */
  readonly maxBytes?: number | undefined;
}

export class StagingMerger {
  readonly #parts: EngineParts;
  readonly #hooks: MergerHooks;
  readonly #merging = new Mutex();

  constructor(parts: EngineParts, hooks: MergerHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  /** Calls `begin` while nothing is being merged: from then on the reader is reading, or has taken a file. */
  beginReading(begin: () => void): Promise<void> {
    return this.#merging.run(begin);
  }

  /** For a reader whose attempt has failed: merges once if too much waits. */
  mergeIfTooLarge(reader: StagingReader, waiting: Waiting): Promise<void> {
    return this.#merging.run(async () => {
      const held = this.#hooks.readers().flatMap(({ heldAfter }) => heldAfter ?? []);
      const kept = this.#after(leastOf(held) ?? 0n);
      const { maxStagingBytes } = this.#parts.limits;
      if (sizeOf(kept) > maxStagingBytes) await this.#merge(kept, reader, waiting);
    }, waiting);
  }

  /** For a reader that is between two attempts: merges until it waits for no more than so many files. */
  mergeIfMoreThan(files: number, reader: StagingReader, request: MergeRequest): Promise<void> {
    return this.#merging.run(async () => {
      for (;;) {
        const kept = this.#after(reader.heldAfter ?? 0n);
        if (kept.length <= files || !(await this.#merge(kept, reader, request))) return;
      }
    }, request);
  }

  #after(txid: bigint): readonly StagedFile[] {
    return this.#parts.staging.files.filter((file) => file.txid > txid);
  }

  /** Where a wide file may end and the next one begin, but none go on. */
  get #cuts(): readonly bigint[] {
    const ofReaders = this.#hooks.readers().flatMap(({ heldAfter, attempted }) => [
      // Each replica has files up to a TXID of its own.
      ...(heldAfter === undefined ? [] : [heldAfter]),
      ...(attempted === undefined ? [] : [attempted.minTxid - 1n, attempted.txid]),
    ]);
    return [...ofReaders, this.#hooks.savedThrough()];
  }

  /** `false` if nothing was merged: not being able to is no reason not to upload. */
  async #merge(
    kept: readonly StagedFile[],
    reader: StagingReader,
    { signal, maxBytes = Number.POSITIVE_INFINITY }: MergeRequest,
  ): Promise<boolean> {
    const { staging, codec, state, logger } = this.#parts;
    const others = this.#hooks.readers().filter((one) => one !== reader && one.isReading);
    const through = leastOf(others.flatMap(({ heldAfter }) => heldAfter ?? []));
    const free = kept.slice(0, -1).filter((file) => through === undefined || file.txid <= through);
    const runs = runsBetween(free, this.#cuts);
    const files = smallest(runs.map((run) => neighboursToMerge(run, maxBytes)));
    if (files.length < 2) return false;
    try {
      const inputs = files.map((file) => ({
        name: file.path,
        chunks: staging.body(file).open({ signal }),
      }));
      const chunks = mergeLtx(codec, inputs, { ...levelZeroFields(state.nodeId), signal });
      const { sizeBytes } = await staging.replaceByMerged(files, chunks);
      logger.log("info", "staging.merged", { files: files.length, sizeBytes });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      logger.log("warn", "staging.not-merged", { files: files.length, error: messageOf(error) });
      return false;
    }
  }
}

/** `undefined` if there are none. */
export function leastOf<T extends bigint | number>(values: readonly T[]): T | undefined {
  let least: T | undefined;
  for (const value of values) if (least === undefined || value < least) least = value;
  return least;
}

function sizeOf(files: readonly StagedFile[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

/** The files without a cut between them. */
function runsBetween(
  files: readonly StagedFile[],
  cuts: readonly bigint[],
): readonly (readonly StagedFile[])[] {
  const below = (file: StagedFile): number => cuts.filter((cut) => cut < file.txid).length;
  return [...Map.groupBy(files, below).values()];
}

/**
 * The most neighbours that are no larger than `maxBytes` together. Among as many the smallest: merging what is wide already
 * again and again would copy it each time.
 */
function neighboursToMerge(files: readonly StagedFile[], maxBytes: number): readonly StagedFile[] {
  const groups = files.map((_, from) =>
    neighboursFrom(files.slice(from, from + filesPerMerge), maxBytes),
  );
  const most = Math.max(0, ...groups.map((group) => group.length));
  return smallest(groups.filter((group) => group.length === most));
}

/** The first of the files, as many as are no larger than `maxBytes` together. */
function neighboursFrom(files: readonly StagedFile[], maxBytes: number): readonly StagedFile[] {
  let sizeBytes = 0;
  const end = files.findIndex((file) => (sizeBytes += file.sizeBytes) > maxBytes);
  return end === -1 ? files : files.slice(0, end);
}

/** The group of at least two files that is smallest together, if there is one. */
function smallest(groups: readonly (readonly StagedFile[])[]): readonly StagedFile[] {
  return groups
    .filter((group) => group.length > 1)
    .reduce<readonly StagedFile[]>(
      (best, group) => (best.length === 0 || sizeOf(group) < sizeOf(best) ? group : best),
      [],
    );
}
