// Which pages to fetch with the one that is missing. Only a miss on exactly the page that follows the last one planned counts
// as a scan: a guess from any forward jump reads megabytes for a few random lookups. A scan's window grows from 4 pages,
// twofold while it is small and may be the last one, fourfold then. The first page of a window is marked; when the reader
// comes to it, the next window starts, so that it never waits; at full width two are under way, so that requests do not stop
// while the reader waits for the first of them.
// A window ends where the order is not known yet, below an interior page that has not come in: that one is fetched with some
// of those after it, so that the windows that follow do not end there.
import type { FrameRef } from "./frame-table.ts";
import type { PageMap } from "./page-map.ts";
import type { NextPage, TreeOrder } from "./tree-order.ts";

/** Interior pages lie anywhere, so each is likely to be a request of its own. */
const windowPagesPerInterior = 32;

/** Up to here a window doubles. */
const smallWindowPages = 64;
/** Windows of full width that are under way ahead of the one that is being read. */
const maxWindowsAhead = 2;

/** A place where somebody reads, perhaps a scan. */
interface Stream {
  /** The last page planned that the order can go on from. */
  last: number;
  windowPages: number;
  /** First pages of the windows that the reader has not come to, in key order. */
  marked: readonly number[];
}

/** Pages to fetch together. */
export interface Window {
  /** In key order. */
  readonly pgnos: readonly number[];
  /** The page whose first read starts the next window. */
  readonly marked: number | undefined;
}

export interface ReadAheadLimits {
  readonly minPages: number;
  readonly maxPages: number;
  /** A window ends where it has come to so many frames that lie apart from the one before: each may be a request. */
  readonly maxApart: number;
  /** Bytes between two frames that lie apart. */
  readonly apartBytes: number;
  /** Places that are followed at once: those of one join, and of several readers. */
  readonly maxStreams: number;
}

export class ReadAhead {
  readonly #order: TreeOrder;
  readonly #limits: ReadAheadLimits;
  /** The one used last comes last. */
  #streams: readonly Stream[] = [];

  constructor(order: TreeOrder, limits: ReadAheadLimits) {
    this.#order = order;
    this.#limits = limits;
  }

  /** The window for a page that is missing and not on its way. It begins with that page. */
  onMiss(map: PageMap, pgno: number): Window {
    for (const stream of this.#streams) {
      const next = this.#order.next(map, stream.last);
      if (next?.pgno !== pgno) continue;
      stream.marked = [];
      return this.#advance(map, stream, next);
    }
    this.#keep({ last: pgno, windowPages: 1, marked: [] });
    return { pgnos: [pgno], marked: undefined };
  }

  /** The windows to start if `pgno` is the marked page of one. */
  onTouch(map: PageMap, pgno: number): readonly Window[] {
    const stream = this.#streams.find(({ marked }) => marked.includes(pgno));
    if (stream === undefined) return [];
    stream.marked = stream.marked.slice(stream.marked.indexOf(pgno) + 1);
    const isWide = stream.windowPages >= this.#limits.maxPages;
    const windows: Window[] = [];
    while (stream.marked.length < (isWide ? maxWindowsAhead : 1)) {
      const next = this.#order.next(map, stream.last);
      if (next === undefined) break;
      const window = this.#advance(map, stream, next);
      windows.push(window);
      if (window.marked === undefined) break;
    }
    return windows;
  }

  #advance(map: PageMap, stream: Stream, { pgno: first, isEdge, entered }: NextPage): Window {
    // The reader goes on below it, and so does the stream.
    if (isEdge) return { pgnos: this.#interiorFrom(map, first, stream), marked: undefined };
    const { minPages, maxPages, maxApart } = this.#limits;
    const growth = stream.windowPages < smallWindowPages ? 2 : 4;
    const windowPages = Math.min(maxPages, Math.max(minPages, growth * stream.windowPages));
    const pgnos = [...entered, first];
    let last = first;
    let lastFrame = map.locate(first);
    let apart = 0;
    while (pgnos.length < windowPages && apart < maxApart) {
      const next = this.#order.next(map, last);
      if (next === undefined) break;
      if (next.isEdge) {
        pgnos.push(...this.#interiorFrom(map, next.pgno, { windowPages }));
        break;
      }
      // Known, and perhaps gone from the cache since.
      pgnos.push(...next.entered, next.pgno);
      const frame = map.locate(next.pgno);
      if (this.#areApart(lastFrame, frame)) apart++;
      last = next.pgno;
      lastFrame = frame;
    }
    Object.assign(stream, { last, windowPages, marked: [...stream.marked, first] });
    this.#keep(stream);
    return { pgnos, marked: first };
  }

  #areApart(a: FrameRef | undefined, b: FrameRef | undefined): boolean {
    if (a === undefined || b === undefined) return false;
    return a.file !== b.file || Math.abs(a.offset - b.offset) > this.#limits.apartBytes;
  }

  /** An interior page and those after it on its level: more for a scan that has gone far. */
  #interiorFrom(
    map: PageMap,
    pgno: number,
    { windowPages }: Pick<Stream, "windowPages">,
  ): number[] {
    const count = Math.max(1, Math.floor(windowPages / windowPagesPerInterior));
    const pgnos = [pgno];
    let last = pgno;
    while (pgnos.length < count) {
      const next = this.#order.next(map, last);
      if (next === undefined || next.isEdge) break;
      pgnos.push(next.pgno);
      last = next.pgno;
    }
    return pgnos;
  }

  #keep(stream: Stream): void {
    const others = this.#streams.filter((other) => other !== stream);
    this.#streams = [...others, stream].slice(-this.#limits.maxStreams);
  }
}
