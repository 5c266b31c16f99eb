// Brings pages of a view into the cache, and with them those that the reader is about to want. For the thread that has the
// store; the reader has the map and the cache, and asks here on a miss.
import { must } from "../base/assert.ts";
import type { Waiting } from "../base/async.ts";
import { pgnoOfFrame } from "../ltx/page-block.ts";
import { decodeBtreePage, isInteriorKind } from "../sqlite/btree.ts";
import { schemaRootPgnos } from "../sqlite/schema-roots.ts";
import { BlockingLoader } from "./blocking-loader.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import { FrameLoader, type FrameLoaderOptions, type LoaderLimits } from "./frame-loader.ts";
import type { FrameRef } from "./frame-table.ts";
import type { HotPages } from "./hot-pages.ts";
import type { Seed } from "./map-builder.ts";
import type { PageMap } from "./page-map.ts";
import { ReadAhead, type ReadAheadLimits, type Window } from "./read-ahead.ts";
import { type WantedFrame, requestDefaults } from "./request-plan.ts";
import { TreeOrder, maxDepth, reservedBytesAt } from "./tree-order.ts";

export interface FetchLimits extends LoaderLimits {
  /** A window takes no more than this, and no more than an eighth of the cache. */
  readonly maxWindowBytes: number;
  /** Interior pages that `prefetch` brings in, at most, and no more than half of the cache. */
  readonly maxPrefetchPages: number;
}

export const fetchDefaults: FetchLimits = Object.freeze({
  ...requestDefaults,
  maxRequests: 16,
  maxAheadRequests: 14,
  maxFramesInFlight: 8192,
  maxWindowBytes: 8 * 1024 * 1024,
  maxPrefetchPages: 1024,
});

const minWindowPages = 4;
const maxWindowPages = 2048;
/** Of a window whose pages lie anywhere: more than this would be waited for too long. */
const maxWindowRequests = 256;
const maxStreams = 16;
/** 16 MB of child numbers: the interior pages of some 16 GB. */
const maxChildren = 4 * 1024 * 1024;

export type FetcherOptions = Omit<FrameLoaderOptions, "limits" | "onPage"> & {
  readonly limits?: FetchLimits | undefined;
  /** For `fetchNow`. */
  readonly reads?: BlockingReads | undefined;
};

export class Fetcher implements AsyncDisposable {
  readonly loader: FrameLoader;
  readonly #options: FetcherOptions;
  readonly #limits: FetchLimits;
  readonly #order: TreeOrder;
  readonly #ahead: ReadAhead;
  readonly #blocking: BlockingLoader | undefined;

  constructor(options: FetcherOptions) {
    const { cache, limits = fetchDefaults } = options;
    this.#options = options;
    this.#limits = limits;
    this.#order = new TreeOrder({ cache, maxChildren });
    this.#ahead = new ReadAhead(this.#order, windowLimits(cache, limits));
    const onPage = (wanted: WantedFrame, page: Uint8Array): void => this.#order.note(wanted, page);
    this.loader = new FrameLoader({
      ...options,
      limits,
      onPage,
    });
    if (options.reads === undefined) return;
    this.#blocking = new BlockingLoader({ ...options, reads: options.reads, limits, onPage });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#blocking?.[Symbol.dispose]();
    await this.loader[Symbol.asyncDispose]();
  }

  /**
   * Resolves when the page of that map is in the cache, or is one that no file holds and reads as zeros. In a cache of a
   * few pages it may be gone again before it is read: ask again. Aborting ends the waiting, not the request, which others may
   * wait for. Throws `store/changed` if the file is gone, `view/corrupt-page`, and what the store throws.
   */
  async fetch(map: PageMap, pgno: number, { signal }: Waiting): Promise<void> {
    signal?.throwIfAborted();
    const frame = map.locate(pgno);
    if (frame === undefined || this.#options.cache.has(frame)) return;
    if (!this.loader.hurry(frame)) {
      this.#order.reach(map.commit);
      this.#load(map, this.#ahead.onMiss(map, pgno), frame);
    }
    await this.loader.wait(frame, { signal });
  }

  /**
   * Brings pages into the cache, and none but these, with few requests. More than the cache takes push each other out. Throws as
   * `fetch`.
   */
  async fetchAll(map: PageMap, pgnos: readonly number[], { signal }: Waiting): Promise<void> {
    // No more at once than the loader takes.
    const step = Math.max(1, Math.floor(this.#limits.maxFramesInFlight / 2));
    for (let from = 0; from < pgnos.length; from += step) {
      const wanted = wantedOf(map, pgnos.slice(from, from + step));
      this.loader.load(wanted, {});
      await Promise.all(wanted.map(({ frame }) => this.loader.wait(frame, { signal })));
    }
  }

  /**
   * Takes in pages that came with an index: those of a whole file once it has proved itself, of others each by itself, in its
   * own time. Throws what the decoder finds wrong with a whole file.
   */
  async seed(map: PageMap, seed: Seed): Promise<void> {
    this.#order.reach(map.commit);
    if (seed.isWhole) await this.loader.takeFile(seed.wanted, seed);
    else this.loader.take(seed.wanted, seed);
  }

  /** `fetch` for a caller that stands still meanwhile. */
  fetchNow(map: PageMap, pgno: number): void {
    const frame = map.locate(pgno);
    if (frame === undefined || this.#options.cache.has(frame)) return;
    this.#order.reach(map.commit);
    const { pgnos } = this.#ahead.onMiss(map, pgno);
    must(this.#blocking, "reads that block").load(wantedOf(map, pgnos), frame);
  }

  /** Takes in those of the hot pages that this map leads to. Returns how many. */
  warm(map: PageMap, { frames }: HotPages): number {
    this.#order.reach(map.commit);
    const { files } = this.#options;
    let taken = 0;
    for (const { key, etag, offset, bytes } of frames) {
      const pgno = pgnoOfFrame(bytes);
      if (pgno === undefined) continue;
      const frame = map.locate(pgno);
      if (frame?.offset !== offset || frame.sizeBytes !== bytes.length) continue;
      const file = files.get(frame.file);
      if (file.key !== key || file.etag !== etag) continue;
      if (this.loader.takeIn({ pgno, frame }, bytes)) taken++;
    }
    return taken;
  }

  /** The reader has come to a marked page: starts what it will want next. Never throws. */
  touch(map: PageMap, pgno: number): void {
    if (this.loader.isClosed) return;
    for (const window of this.#ahead.onTouch(map, pgno)) this.#load(map, window);
  }

  /**
   * Fetches the interior pages of every b-tree, level by level, beginning with the schema: afterwards a lookup misses on
   * its leaf alone, and scans know their order. Of a level whose kind is not known one page is fetched to see.
   */
  async prefetch(map: PageMap, { signal }: Waiting): Promise<void> {
    this.#order.reach(map.commit);
    const halfCache = Math.floor(this.#options.cache.slotCount / 2);
    let budget = Math.min(this.#limits.maxPrefetchPages, halfCache);
    const take = async (pgnos: readonly number[]): Promise<readonly number[]> => {
      const taken = pgnos.slice(0, Math.max(0, budget));
      budget -= taken.length;
      await this.fetchAll(map, taken, { signal });
      return taken;
    };
    const schema = await take([1]);
    const roots = await this.#schemaRoots(map, schema, take);
    let level = await take(roots);
    for (let depth = 0; depth < maxDepth && level.length > 0; depth++) {
      const families = level.map((pgno) => [...(this.#order.childrenOf(map, pgno) ?? [])]);
      const probes = families.flatMap((children) => children.slice(0, 1));
      await take(probes);
      const interior = families.filter(
        ([first]) => first !== undefined && this.#order.childrenOf(map, first) !== undefined,
      );
      await take(interior.flatMap((children) => children.slice(1)));
      level = interior.flat();
    }
  }

  /** Root pages that the schema names, its own interior pages and leaves being fetched on the way. */
  async #schemaRoots(
    map: PageMap,
    schema: readonly number[],
    take: (pgnos: readonly number[]) => Promise<readonly number[]>,
  ): Promise<readonly number[]> {
    const roots: number[] = [];
    let level = schema;
    for (let depth = 0; depth < maxDepth && level.length > 0; depth++) {
      const below: number[] = [];
      for (const pgno of level) {
        const page = this.#readBtree(map, pgno);
        if (page === undefined) continue;
        if (isInteriorKind(page.kind)) below.push(...(this.#order.childrenOf(map, pgno) ?? []));
        else roots.push(...schemaRootPgnos(page));
      }
      level = await take(below);
    }
    return roots.filter((pgno) => pgno <= map.commit);
  }

  #readBtree(map: PageMap, pgno: number): ReturnType<typeof decodeBtreePage> {
    const { cache } = this.#options;
    const page = new Uint8Array(map.pageSize);
    const header = new Uint8Array(1);
    const frame = map.locate(pgno);
    const first = map.locate(1);
    if (frame === undefined || first === undefined) return undefined;
    if (cache.read(frame, page) === "miss") return undefined;
    if (cache.read(first, header, reservedBytesAt) === "miss") return undefined;
    return decodeBtreePage(page, { pgno, usableBytes: map.pageSize - (header[0] ?? 0) });
  }

  #load(map: PageMap, { pgnos, marked }: Window, urgent?: FrameRef): void {
    this.loader.load(wantedOf(map, pgnos), {
      urgent,
      marked: marked === undefined ? undefined : map.locate(marked),
    });
  }
}

function wantedOf(map: PageMap, pgnos: readonly number[]): readonly WantedFrame[] {
  return pgnos.flatMap((pgno) => {
    const frame = map.locate(pgno);
    return frame === undefined ? [] : [{ pgno, frame }];
  });
}

function windowLimits(
  { pageSize, slotCount }: FetcherOptions["cache"],
  { maxWindowBytes, maxGapBytes }: FetchLimits,
): ReadAheadLimits {
  const fitting = Math.min(Math.floor(maxWindowBytes / pageSize), Math.floor(slotCount / 8));
  const maxPages = Math.max(1, Math.min(maxWindowPages, fitting));
  const minPages = Math.min(minWindowPages, maxPages);
  return { minPages, maxPages, maxApart: maxWindowRequests, apartBytes: maxGapBytes, maxStreams };
}
