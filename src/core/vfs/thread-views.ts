// The views that SQLite reads from, where it runs: pages come out of the cache, or from whoever is asked for what is missing.
import { must } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { FrameCache } from "../view/frame-cache.ts";
import { PageMap } from "../view/page-map.ts";
import { PageReader } from "./page-reader.ts";
import type { DatabaseView, OpenPageReader } from "./page-reader.ts";
import type { OpenRequest } from "./sqlite-wasm-vfs.ts";
import type { AskedMoment, ViewNews, ViewsInUse } from "./protocol.ts";

/** A view as SQLite needs it, and its number. */
export interface KnownView extends DatabaseView {
  readonly id: number;
}

/** Where pages and moments come from. The caller stands still until it has them; what cannot be had is thrown. */
export interface PageSource {
  /** Fills `into` with a page that is not in the cache, or not where the map of the view has it. */
  read(view: number, pgno: number, into: Uint8Array): void;
  /** A marked page was read in the cache. */
  touch(view: number, pgno: number): void;
  /** A moment by the name of a file. Its map comes with the news of the next request. */
  at(asked: AskedMoment): KnownView;
}

interface ThreadView extends KnownView {
  /** Where its pages lie, or have lain before files were merged: what the cache still has of those is right. */
  map: PageMap | undefined;
}

export interface ThreadViewsOptions {
  /** Of the replica, in SQL. */
  readonly name: string;
  readonly cache: FrameCache;
  readonly source: PageSource;
}

export class ThreadViews {
  readonly #options: ThreadViewsOptions;
  readonly #viewById = new Map<number, ThreadView>();
  /** With the view of those that always have the same one. */
  readonly #readers = new Map<PageReader<ThreadView>, ThreadView | undefined>();
  #newest: ThreadView | undefined;

  constructor(options: ThreadViewsOptions) {
    this.#options = options;
  }

  /** Takes in what has become of the views. Before the first of it nothing can be read. */
  hear({ newest, maps }: ViewNews): void {
    for (const { id, map: shared } of maps) {
      const map = PageMap.fromShared(shared);
      const known = this.#viewById.get(id);
      if (known !== undefined) known.map = map;
      else
        this.#know({
          id,
          pageSize: map.pageSize,
          commit: map.commit,
          generation: map.generation,
          map,
        });
    }
    this.#newest = must(this.#viewById.get(newest), "newest view");
  }

  /** The reader of a file by its name in SQL: the replica as it is opened, or as it was at a moment. */
  open({ name, at, txid }: OpenRequest): OpenPageReader {
    const { name: ownName, source } = this.#options;
    if (name !== ownName) {
      throw new HeadwaterError(
        "query/sql",
        `There is no file ${JSON.stringify(name)} here. Attach the replica at another moment with 'file:${ownName}?at=1 hour ago' ` +
          `or 'file:${ownName}?txid=...', or ':memory:'.`,
        { data: { name } },
      );
    }
    const readPage = (view: ThreadView, pgno: number, into: Uint8Array): void =>
      this.#read(view, pgno, into);
    if (at === undefined && txid === undefined) {
      return this.#opened(new PageReader({ view: () => this.#following, readPage }));
    }
    const view = this.#know({ ...source.at({ at, txid }), map: undefined });
    return this.#opened(new PageReader({ view: () => view, readPage }), view);
  }

  /** The views that may still be read from, `open` being the readers that SQLite has, and the one that is held. */
  inUse(open: Iterable<OpenPageReader>): ViewsInUse {
    const isOpen = new Set(open);
    const ids = new Set<number>();
    if (this.#newest !== undefined) ids.add(this.#newest.id);
    let snapshot: number | undefined;
    for (const [reader, fixed] of this.#readers) {
      if (!isOpen.has(reader)) {
        this.#readers.delete(reader);
        continue;
      }
      const view = fixed ?? reader.pinned;
      if (view !== undefined) ids.add(view.id);
      if (fixed === undefined) snapshot ??= reader.pinned?.id;
    }
    for (const id of this.#viewById.keys()) if (!ids.has(id)) this.#viewById.delete(id);
    return { views: [...ids], snapshot };
  }

  /** What a transaction gets that begins now: the newest state, or that which it has under another name already. */
  get #following(): ThreadView {
    for (const [{ pinned }, fixed] of this.#readers) {
      if (fixed === undefined && pinned !== undefined) return pinned;
    }
    return must(this.#newest, "newest view");
  }

  #know(view: ThreadView): ThreadView {
    this.#viewById.set(view.id, view);
    return view;
  }

  #opened(reader: PageReader<ThreadView>, fixed?: ThreadView): OpenPageReader {
    this.#readers.set(reader, fixed);
    return reader;
  }

  #read({ id, map }: ThreadView, pgno: number, into: Uint8Array): void {
    const { cache, source } = this.#options;
    if (map === undefined) {
      source.read(id, pgno, into);
      return;
    }
    const frame = map.locate(pgno);
    if (frame === undefined) {
      into.fill(0);
      return;
    }
    const found = cache.read(frame, into);
    if (found === "touch") source.touch(id, pgno);
    else if (found === "miss") source.read(id, pgno, into);
  }
}
