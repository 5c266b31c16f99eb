// The newest state of a replica whose primary also pushes files: what the store has, and on it what was pushed and is not
// there yet. The two are kept apart, so that a file of another history can be let go.
import type { Waiting } from "../base/async.ts";
import { hasCode } from "../base/errors.ts";
import { areContradictory } from "../ltx/header.ts";
import { type ChainFile, chainFrom } from "../replica/chain-files.ts";
import type { ViewFile } from "./file-table.ts";
import type { BuiltMap, ProvedMap } from "./map-builder.ts";
import type { ViewPlanner } from "./view-planner.ts";

/** Keeps the bytes of pushed files, which the store that is read shows beside its own. */
export interface PushedSource {
  readonly files: readonly ChainFile[];
  /** Forgets all others. */
  retain(isKept: (file: ChainFile) => boolean): void;
}

/** Takes the pages of a map that was built into the cache. */
export type SeedPages = (built: BuiltMap) => Promise<void>;

export class PushedStates {
  readonly #planner: ViewPlanner;
  readonly #source: PushedSource | undefined;
  /** Pushed files of a history that was left; maps may still lead to them. One that is pushed again is another. */
  #left = new WeakSet<ChainFile>();
  #era = 0;
  /** The newest state that the store alone makes. */
  #stored: ProvedMap;
  #newest: ProvedMap;

  constructor(planner: ViewPlanner, stored: ProvedMap, source: PushedSource | undefined) {
    this.#planner = planner;
    this.#stored = stored;
    this.#newest = stored;
    this.#source = source;
  }

  get stored(): ProvedMap {
    return this.#stored;
  }

  get newest(): ProvedMap {
    return this.#newest;
  }

  /** A state of the newest TXID, from other files. */
  replaceNewest(found: ProvedMap): void {
    if (this.#stored === this.#newest) this.#stored = found;
    this.#newest = found;
  }

  /** The store has come further: what was pushed counts only as far as it continues that. True if the newest is another. */
  async noteStored(found: ProvedMap, seed: SeedPages, waiting: Waiting): Promise<boolean> {
    const before = this.#newest;
    const stored = { ...found, map: found.map.inEra(this.#era) };
    const reached = this.#contradicts(stored)
      ? undefined
      : await this.#advance(stored, this.#following(stored), seed, waiting);
    this.#stored = stored;
    if (reached === undefined) this.#leaveHistory();
    // What was pushed may reach further without beginning where the store ends now.
    else if (reached.map.txid >= before.map.txid) this.#newest = reached;
    return this.#newest.map.generation !== before.map.generation;
  }

  /** Goes on to what was pushed. False if it is of another history, or does not lead on from here. */
  async notePushed(seed: SeedPages, waiting: Waiting): Promise<boolean> {
    const files = this.#following(this.#newest);
    if (files.length === 0) return false;
    const reached = await this.#advance(this.#newest, files, seed, waiting);
    if (reached === undefined) return false;
    this.#newest = reached;
    this.#planner.pushed = this.#files.map(({ file }) => file);
    return true;
  }

  /** What was pushed is of another history: the newest state is what the store has. */
  dropPushed(): void {
    if (this.#newest !== this.#stored || this.#files.length > 0) this.#leaveHistory();
  }

  /** Whether any pushed file is kept. */
  get isKeeping(): boolean {
    return this.#source !== undefined && this.#source.files.length > 0;
  }

  /** Forgets files that the store has by now and no map needs. `needed`: numbers of files that maps lead to. */
  forget(needed: ReadonlySet<number>): void {
    const { files } = this.#planner;
    const { txid } = this.#stored.map;
    this.#source?.retain(
      (pushed) =>
        (pushed.file.maxTxid > txid && !this.#left.has(pushed)) ||
        needed.has(files.numberOf(pushed.file)),
    );
    this.#planner.pushed = this.#files.map(({ file }) => file);
  }

  /** Those of the present history. */
  get #files(): readonly ChainFile[] {
    return (this.#source?.files ?? []).filter((pushed) => !this.#left.has(pushed));
  }

  /** What was pushed ends there with another database, or begins there from another one. */
  #contradicts({ map, after }: ProvedMap): boolean {
    return this.#files.some(
      (pushed) =>
        (pushed.file.maxTxid === map.txid && areContradictory(pushed.after, after)) ||
        (pushed.file.minTxid === map.txid + 1n && areContradictory(pushed.before, after)),
    );
  }

  #following({ map, after }: ProvedMap): readonly ViewFile[] {
    const point = { txid: map.txid, checksum: after };
    return chainFrom(point, this.#files).map(({ file }) => file);
  }

  /** `undefined` if the files are of another history. */
  async #advance(
    base: ProvedMap,
    files: readonly ViewFile[],
    seed: SeedPages,
    waiting: Waiting,
  ): Promise<ProvedMap | undefined> {
    if (files.length === 0) return base;
    try {
      const built = await this.#planner.advance(base, files, waiting);
      await seed(built);
      return built;
    } catch (error) {
      if (hasCode(error, "replica/proof", "replica/foreign-file")) return undefined;
      throw error;
    }
  }

  /** From now on the same TXID may have other pages than before. */
  #leaveHistory(): void {
    this.#era++;
    this.#stored = { ...this.#stored, map: this.#stored.map.inEra(this.#era) };
    this.#newest = this.#stored;
    this.#left = new WeakSet(this.#source?.files);
    this.#planner.pushed = [];
  }
}
