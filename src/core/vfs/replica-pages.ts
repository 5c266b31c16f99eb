// What an open replica needs of the side that reads the store: `ReplicaViews` is it.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { Txid } from "../ltx/txid.ts";
import type { FrameCache } from "../view/frame-cache.ts";
import type { PageMap } from "../view/page-map.ts";
import type { RefreshOptions, ViewTarget } from "../view/replica-views.ts";

/** A state that stays readable until it is disposed. */
export interface PinnedView extends Disposable {
  /** Where its pages lie now. */
  readonly map: PageMap;
  /** Brings a page into the cache; resolves to the map that leads to it, which is another one if files were merged. */
  fetch(pgno: number, waiting: Waiting): Promise<PageMap>;
  /** A page that was marked in the cache has been read: what comes after it will be needed. */
  touch(pgno: number): void;
}

/** Views of one replica, in memory that threads share. */
export interface ReplicaPages<Pinned extends PinnedView = PinnedView> {
  readonly cache: FrameCache;
  /** Of the newest state that is known. */
  readonly txid: Txid;
  /** The same, and another number also where the history of that TXID is another than before. */
  readonly generation: number;
  newest(): Pinned;
  at(moment: ViewTarget, waiting: Waiting): Promise<Pinned>;
  /** Looks for a newer state; `byName`: for the next one alone. */
  refresh(options: RefreshOptions): Promise<boolean>;
}

/** Memory for pages where nobody says how much. */
export const defaultCacheBytes = 64 * 1024 * 1024;

/** Smallest memory for pages: a few of the largest. */
const minCacheBytes = 1024 * 1024;

/** Throws `usage/invalid` for memory that is too small. */
export function checkCacheBytes(cacheBytes: number): void {
  if (cacheBytes >= minCacheBytes) return;
  throw new HeadwaterError(
    "usage/invalid",
    `cacheBytes must be at least ${minCacheBytes}, not ${cacheBytes}.`,
  );
}

/** `pages`, of which the newest stays the one that it is now. */
export function frozenPages<Pinned extends PinnedView>(
  pages: ReplicaPages<Pinned>,
): ReplicaPages<Pinned> {
  return {
    cache: pages.cache,
    txid: pages.txid,
    generation: pages.generation,
    newest: () => pages.newest(),
    at: (moment, waiting) => pages.at(moment, waiting),
    refresh: () => Promise.resolve(false),
  };
}
