// Staged files that wait for a replica which is away are merged when they become too large: neighbours become wide files,
// the newest stays single. Files that another replica may be reading stay as they are.
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
  /** It is reading them now. */
  readonly isReading: boolean;
}

export class StagingMerger {
  readonly #parts: EngineParts;
  readonly #readers: () => readonly StagingReader[];
  readonly #merging = new Mutex();

  constructor(parts: EngineParts, readers: () => readonly StagingReader[]) {
    this.#parts = parts;
    this.#readers = readers;
  }

  /** Calls `begin` while nothing is being merged: from then on the reader is reading. */
  beginReading(begin: () => void): Promise<void> {
    return this.#merging.run(begin);
  }

  /** For a reader whose attempt has failed: merges once if too much waits. */
  mergeIfTooLarge(reader: StagingReader, waiting: Waiting): Promise<void> {
    return this.#merging.run(async () => {
      const kept = this.#after(leastOf(this.#held) ?? 0n);
      const { maxStagingBytes } = this.#parts.limits;
      if (sizeOf(kept) > maxStagingBytes) await this.#merge(kept, reader, waiting);
    }, waiting);
  }

  /**
   * For a reader that is between two attempts: merges until it waits for no more than so many files after `after`, or after
   * what it has.
   */
  mergeIfMoreThan(
    files: number,
    reader: StagingReader,
    { after, ...waiting }: Waiting & { readonly after?: bigint | undefined },
  ): Promise<void> {
    return this.#merging.run(async () => {
      for (;;) {
        const kept = this.#after(after ?? reader.heldAfter ?? 0n);
        if (kept.length <= files || !(await this.#merge(kept, reader, waiting))) return;
      }
    }, waiting);
  }

  get #held(): readonly bigint[] {
    return this.#readers().flatMap(({ heldAfter }) => heldAfter ?? []);
  }

  #after(txid: bigint): readonly StagedFile[] {
    return this.#parts.staging.files.filter((file) => file.txid > txid);
  }

  /** `false` if nothing was merged: not being able to is no reason not to upload. */
  async #merge(
    kept: readonly StagedFile[],
    reader: StagingReader,
    { signal }: Waiting,
  ): Promise<boolean> {
    const { staging, codec, state, logger } = this.#parts;
    const others = this.#readers().filter((one) => one !== reader && one.isReading);
    const through = leastOf(others.flatMap(({ heldAfter }) => heldAfter ?? []));
    const free = kept.slice(0, -1).filter((file) => through === undefined || file.txid <= through);
    const files = smallest(runsBetween(free, this.#held).map(neighboursToMerge));
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

/** Each replica has files up to a TXID of its own: a wide file must not begin before it and end after it. */
function runsBetween(
  files: readonly StagedFile[],
  cuts: readonly bigint[],
): readonly (readonly StagedFile[])[] {
  const below = (file: StagedFile): number => cuts.filter((cut) => cut < file.txid).length;
  return [...Map.groupBy(files, below).values()];
}

/** The neighbours that are smallest together: merging what is wide already again and again would copy it each time. */
function neighboursToMerge(files: readonly StagedFile[]): readonly StagedFile[] {
  const count = Math.min(filesPerMerge, files.length);
  const starts = Array.from({ length: files.length - count + 1 }, (_, from) => from);
  return smallest(starts.map((from) => files.slice(from, from + count)));
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
