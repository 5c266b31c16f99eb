// Views of one replica: the newest, which follows the replica when told to, and any TXID or time beside it. They share the
// cache, the indexes and the requests.
import { type Waiting, Mutex } from "../base/async.ts";
import { HeadwaterError, hasCode, messageOf } from "../base/errors.ts";
import { silentLogger } from "../base/log.ts";
import { type Txid, toTxid } from "../ltx/txid.ts";
import type { RestoreTarget } from "../replica/plan.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import { type FetchLimits, Fetcher } from "./fetcher.ts";
import type { ViewFile } from "./file-table.ts";
import { FrameCache } from "./frame-cache.ts";
import { decodeHotPages } from "./hot-pages.ts";
import type { BuiltMap, ProvedMap } from "./map-builder.ts";
import type { PageMap } from "./page-map.ts";
import type { PersistentFrames } from "./persistent-frames.ts";
import { type PushedSource, PushedStates } from "./pushed-states.ts";
import { View, tooOld } from "./view.ts";
import { ViewPlanner, type ViewPlannerOptions } from "./view-planner.ts";

/** Files known before those no view needs are forgotten. */
const minFilesKept = 1024;

export interface ReplicaViewsOptions extends ViewPlannerOptions {
  /** Memory for decoded pages. */
  readonly cacheBytes: number;
  readonly persistent?: PersistentFrames | undefined;
  readonly limits?: FetchLimits | undefined;
  /** The same store, for `View.fetchNow`. */
  readonly reads?: BlockingReads | undefined;
  /** What the primary pushes; `store` then shows these files beside its own. */
  readonly pushed?: PushedSource | undefined;
}

export interface RefreshOptions extends Waiting {
  readonly byName?: boolean | undefined;
}

/** A moment: a TXID, or the newest one that was reached before a time. */
export type ViewTarget = Exclude<RestoreTarget, { readonly kind: "latest" }>;

export class ReplicaViews implements AsyncDisposable {
  readonly cache: FrameCache;
  readonly #planner: ViewPlanner;
  readonly #fetcher: Fetcher;
  readonly #ended = new AbortController();
  readonly #refreshing = new Mutex();
  /** The newest state becomes another. What is pushed does not wait for a store that is slow. */
  readonly #changing = new Mutex();
  readonly #pinned = new Set<View>();
  readonly #states: PushedStates;
  /** Maps being built, whose files no view holds yet. */
  readonly #works = new Set<Promise<unknown>>();
  #filesAllowed = minFilesKept;

  private constructor(
    options: ReplicaViewsOptions,
    { planner, newest }: { readonly planner: ViewPlanner; readonly newest: ProvedMap },
  ) {
    const { cacheBytes, isShared, limits } = options;
    const { pageSize } = newest.map;
    this.cache = FrameCache.create({ pageSize, capacityBytes: cacheBytes, isShared });
    this.#planner = planner;
    this.#states = new PushedStates(planner, newest, options.pushed);
    this.#fetcher = new Fetcher({
      store: options.store,
      codec: options.codec,
      files: planner.files,
      proofs: planner.proofs,
      cache: this.cache,
      logger: options.logger ?? silentLogger,
      persistent: options.persistent,
      limits,
      reads: options.reads,
    });
  }

  /**
   * Opens the newest state: a listing, and of each planned file the end and the start. With another `target` that is the
   * state that counts as the newest until `refresh`: what lies after it may be missing or damaged. Throws `replica/empty`
   * for a replica without files, what `planRestore` throws, `ltx/*` for a damaged file, and what the store throws. The
   * store stays the caller's.
   */
  static async open(
    options: ReplicaViewsOptions,
    { signal, target = { kind: "latest" } }: Waiting & { readonly target?: RestoreTarget },
  ): Promise<ReplicaViews> {
    const planner = new ViewPlanner(options);
    const hot = planner.hotBytes({ signal });
    // It is waited for below; until then its failure is nobody's.
    hot.catch(() => undefined);
    const built = await planner.build(target, { signal });
    const views = new ReplicaViews(options, { planner, newest: built });
    try {
      await views.#seed(built);
      await views.#warm(built.map, hot, options);
      return views;
    } catch (error) {
      await views[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ends every request. Whoever waits gets `view/closed`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new HeadwaterError("view/closed", "The replica was closed. Open it again."));
    await this.#fetcher[Symbol.asyncDispose]();
    await Promise.allSettled(this.#works);
  }

  get #newest(): ProvedMap {
    return this.#states.newest;
  }

  get pageSize(): number {
    return this.#newest.map.pageSize;
  }

  /** TXID of the newest state that is known. */
  get txid(): Txid {
    return toTxid(this.#newest.map.txid);
  }

  /** A file that frames of a pinned view lie in, by its number. */
  fileOf(number: number): ViewFile {
    return this.#planner.files.get(number);
  }

  /** Of the newest state that is known, also where it is another one of the same TXID: `PageMap.generation`. */
  get generation(): number {
    return this.#newest.map.generation;
  }

  /** The database checksum that the newest state's file proves; 0n = none. */
  get checksum(): bigint {
    return this.#newest.after;
  }

  /** Files that are remembered. */
  get knownFiles(): number {
    return this.#planner.files.size;
  }

  /** Pins the newest state that is known. Dispose the view when nothing is read from it any more. */
  newest(): View {
    return this.#pin(this.#newest);
  }

  /** Pins a moment. Throws as `planRestore`, and as `open`. */
  async at(target: ViewTarget, { signal }: Waiting): Promise<View> {
    if (target.kind === "txid" && target.txid === this.txid) return this.newest();
    return this.#build({ signal }, async (waiting) => {
      const built = await this.#planner.build(target, waiting);
      await this.#seed(built);
      return this.#pin(built);
    });
  }

  /**
   * Looks what the replica holds now. True if there is another state, which is then the newest; views that are pinned stay
   * what they are. It is an older one only where what was pushed is of another history than the replica. With `byName` only the
   * next files of level 0 are looked for, by their names, which costs a tenth of a listing: for who asks again and again, and
   * lists now and then. Throws as `open`, and stays where it is then.
   */
  async refresh({ signal, byName = false }: RefreshOptions): Promise<boolean> {
    const advance = (waiting: Waiting): Promise<boolean> => this.#advance(waiting, byName);
    return this.#refreshing.run(() => this.#build({ signal }, advance), { signal });
  }

  async #advance(waiting: Waiting, byName: boolean): Promise<boolean> {
    const { stored } = this.#states;
    const built = byName
      ? await this.#planner.extendByName(stored, waiting)
      : await this.#planner.extend(stored, waiting);
    if (built === undefined) return false;
    await this.#seed(built);
    const note = (): Promise<boolean> => this.#states.noteStored(built, this.#seed, waiting);
    return this.#changing.run(note, waiting);
  }

  /** Goes on to the files that were pushed. False if they are of another history, or do not lead on from the newest state. */
  async takePushed({ signal }: Waiting): Promise<boolean> {
    const work = (waiting: Waiting): Promise<boolean> =>
      this.#states.notePushed(this.#seed, waiting);
    return this.#changing.run(() => this.#build({ signal }, work), { signal });
  }

  /** What was pushed is of another history: goes back to what the replica has. Views that are pinned stay what they are. */
  async leavePushed({ signal }: Waiting): Promise<void> {
    await this.#changing.run(() => this.#states.dropPushed(), { signal });
    this.#forgetFiles();
  }

  async #replan(old: ProvedMap, adopt: (found: ProvedMap) => void): Promise<void> {
    await this.#build({}, async (waiting) => {
      const txid = toTxid(old.map.txid);
      const again = await this.#planAgain(txid, waiting);
      const built = { ...again, map: again.map.inEra(old.map.era) };
      // The same number in another history.
      const isLeft = old.map.era !== this.#newest.map.era && built.after !== old.after;
      const isOther = isLeft || this.#planner.isAnotherHistory(old, built);
      if (isOther || built.map.commit !== old.map.commit) throw tooOld(txid, undefined);
      await this.#seed(built);
      if (this.#newest.map.generation === old.map.generation) this.#states.replaceNewest(built);
      adopt(built);
    });
  }

  async #planAgain(txid: Txid, waiting: Waiting): Promise<BuiltMap> {
    try {
      return await this.#planner.build({ kind: "txid", txid }, waiting);
    } catch (error) {
      const isGone = hasCode(
        error,
        "replica/unreachable-txid",
        "replica/gap",
        "replica/empty",
        "store/changed",
      );
      throw isGone ? tooOld(txid, error) : error;
    }
  }

  /** Work on a map that no view holds yet. Ends when the replica is closed. */
  async #build<T>({ signal }: Waiting, work: (waiting: Waiting) => Promise<T>): Promise<T> {
    const { signal: ended } = this.#ended;
    const both = signal === undefined ? ended : AbortSignal.any([signal, ended]);
    both.throwIfAborted();
    const running = work({ signal: both });
    this.#works.add(running);
    try {
      return await running;
    } finally {
      this.#works.delete(running);
      this.#forgetFiles();
    }
  }

  readonly #seed = async ({ map, seeds }: BuiltMap): Promise<void> => {
    for (const seed of seeds) await this.#fetcher.seed(map, seed);
  };

  /** Failing here costs requests later, nothing else. */
  async #warm(
    map: PageMap,
    hot: Promise<Uint8Array | undefined>,
    { codec, logger = silentLogger }: ReplicaViewsOptions,
  ): Promise<void> {
    try {
      const bytes = await hot;
      if (bytes === undefined) return;
      const pages = decodeHotPages(codec, bytes);
      const taken = pages?.pageSize === map.pageSize ? this.#fetcher.warm(map, pages) : undefined;
      logger.log(taken === undefined ? "warn" : "debug", "view.hot-pages", { taken });
    } catch (error) {
      logger.log("warn", "view.hot-pages-failed", { error: messageOf(error) });
    }
  }

  #pin(state: ProvedMap): View {
    const view = new View(state, {
      cache: this.cache,
      fetcher: this.#fetcher,
      files: this.#planner.files,
      proofs: this.#planner.proofs,
      replan: (old, adopt) => this.#replan(old, adopt),
      onDispose: (gone) => {
        this.#pinned.delete(gone);
        this.#forgetFiles();
      },
    });
    this.#pinned.add(view);
    return view;
  }

  /** Files are numbered for ever: a follower must not remember each of them. */
  #forgetFiles(): void {
    const { files } = this.#planner;
    const isTooMany = files.size > this.#filesAllowed;
    if (this.#works.size > 0 || !(isTooMany || this.#states.isKeeping)) return;
    const { newest, stored } = this.#states;
    const maps = [newest.map, stored.map, ...[...this.#pinned].map(({ map }) => map)];
    const needed = new Set(maps.flatMap((map) => [...map.files()]));
    for (const file of this.#fetcher.loader.filesInFlight) needed.add(file);
    this.#states.forget(needed);
    if (!isTooMany) return;
    this.#planner.retain(needed);
    this.#filesAllowed = minFilesKept + 2 * needed.size;
  }
}
