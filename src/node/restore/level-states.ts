// The databases that the levels of a replica lead to, side by side. Each level is applied to its own page checksums, so
// that a compacted file is tested from where it starts and not on top of pages it should have brought itself.
import { must } from "../../core/base/assert.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageBatch } from "../../core/ltx/decoder.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { ChainState } from "../../core/replica/chain-state.ts";

/** Pages that a finding names. */
const namedPageLimit = 16;

/** What was found out about one file. */
export interface FileFinding {
  readonly file: ReplicaFile;
  /**
   * `proved`: the database checksum, computed from the pages, is the one its proof names. `linked`: only the headers of
   * neighbours agree, because the files before it are gone or at fault. `unproved`: it carries no proof. `failed`: it is
   * damaged, foreign, gone, or its pages are not those captured.
   */
  result: "proved" | "linked" | "unproved" | "failed";
  problem?: string;
  /** Page numbers known to be wrong. */
  pages?: readonly number[];
}

/** One level's database, and how far it is known to be off. */
export interface LevelState {
  readonly state: ChainState;
  /** XOR between the checksum it has and the one that proofs demand: 0n while nothing is wrong. */
  delta: bigint;
  culprit: FileFinding | undefined;
  lastFile: ReplicaFile;
}

/** The states of all levels while files are applied in the order of their max TXID. */
export class LevelStates {
  readonly #byLevel = new Map<number, LevelState>();
  readonly #seedByTxid = new Map<bigint, LevelState>();
  readonly #wantedByTxid: Map<bigint, number>;

  /** `files` in the order in which they will be applied. */
  constructor(files: readonly ReplicaFile[]) {
    this.#wantedByTxid = seedsOf(files);
  }

  /**
   * A state that `file` can be applied to, to become that of its level. `isExact`: it stands right before the file, so
   * that every page of the file matters. `undefined` if the files that lead there are gone.
   */
  baseFor(
    file: ReplicaFile,
    header: LtxHeader,
  ): { readonly level: LevelState; readonly isExact: boolean } | undefined {
    if (file.minTxid === 1n) {
      const state = new ChainState(header.pageSize);
      return { level: { state, delta: 0n, culprit: undefined, lastFile: file }, isExact: true };
    }
    const before = file.minTxid - 1n;
    const own = this.#byLevel.get(file.level);
    if (own?.state.txid === before) return { level: own, isExact: true };
    const seed = this.#takeSeed(before);
    if (seed !== undefined) return { level: seed, isExact: true };
    const inside = [own, ...this.#byLevel.values()].find(
      (level) =>
        level !== undefined && level.state.txid >= before && level.state.txid < file.maxTxid,
    );
    if (inside === undefined) return undefined;
    return { level: copyOf(inside), isExact: inside.state.txid === before };
  }

  /** Applies the pages of a file and makes the result its level's state. */
  async apply(
    codec: Codec,
    {
      file,
      header,
      batches,
    }: { file: ReplicaFile; header: LtxHeader; batches: AsyncIterable<PageBatch> },
    level: LevelState,
  ): Promise<void> {
    // Until all of the file has been read, the level has no state: a half-applied one must not be met.
    this.#byLevel.delete(file.level);
    level.state.begin(header);
    for await (const batch of batches) level.state.apply(batch);
    level.state.end(codec, header);
    level.lastFile = file;
    this.#byLevel.set(file.level, level);
  }

  /** Keeps the state for files of other levels that start right after it. Call it once the state has been judged. */
  offerSeed(level: LevelState): void {
    const { txid } = level.state;
    if (!this.#wantedByTxid.has(txid) || this.#seedByTxid.has(txid)) return;
    this.#seedByTxid.set(txid, copyOf(level));
  }

  /** Forgets a level whose newest file could not be applied. */
  drop(level: number): void {
    this.#byLevel.delete(level);
  }

  /** Other levels that stand at the same TXID and page size. */
  peersOf(level: LevelState): readonly LevelState[] {
    return [...this.#byLevel.values()].filter(
      (other) =>
        other !== level &&
        other.state.txid === level.state.txid &&
        other.state.pageSize === level.state.pageSize,
    );
  }

  /** Puts a level right with what another has proved, so that one fault is reported once. */
  correct(level: LevelState, by: LevelState): void {
    this.#byLevel.set(level.lastFile.level, { ...copyOf(by), lastFile: level.lastFile });
  }

  #takeSeed(txid: bigint): LevelState | undefined {
    const seed = this.#seedByTxid.get(txid);
    if (seed === undefined) return undefined;
    const wanted = must(this.#wantedByTxid.get(txid), "count of files that want a seed") - 1;
    this.#wantedByTxid.set(txid, wanted);
    if (wanted > 0) return copyOf(seed);
    this.#wantedByTxid.delete(txid);
    this.#seedByTxid.delete(txid);
    return seed;
  }
}

/** Numbers of pages in which two states differ, the first few of them. */
export function differingPages(a: ChainState, b: ChainState): readonly number[] {
  const pages: number[] = [];
  const last = Math.max(a.commit, b.commit);
  for (let pgno = 1; pgno <= last && pages.length < namedPageLimit; pgno++) {
    if (a.pageChecksum(pgno) !== b.pageChecksum(pgno)) pages.push(pgno);
  }
  return pages;
}

/** How many files of which TXID cannot start from their own level, because it begins there or has a hole. */
function seedsOf(files: readonly ReplicaFile[]): Map<bigint, number> {
  const wanted = new Map<bigint, number>();
  const txidByLevel = new Map<number, bigint>();
  for (const { level, minTxid, maxTxid } of files) {
    const before = minTxid - 1n;
    if (before > 0n && txidByLevel.get(level) !== before) {
      wanted.set(before, (wanted.get(before) ?? 0) + 1);
    }
    txidByLevel.set(level, maxTxid);
  }
  return wanted;
}

function copyOf({ state, delta, culprit, lastFile }: LevelState): LevelState {
  return { state: state.clone(), delta, culprit, lastFile };
}
