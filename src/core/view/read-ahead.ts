// Which pages to fetch with the one that is missing. Only a miss on exactly the page that follows the last one planned counts
// as a scan: a guess from any forward jump reads megabytes for a few random lookups. A scan's window doubles from 4 to 512
// pages. The first page of a window is marked; when the reader comes to it, the next window starts, so that it never waits.
// A window ends where the order is not known yet, below an interior page that has not come in: that one is fetched with some
// of those after it, so that the windows that follow do not end there.
import type { PageMap } from "./page-map.ts";
import type { NextPage, TreeOrder } from "./tree-order.ts";

/** Interior pages lie anywhere, so each is likely to be a request of its own. */
const windowPagesPerInterior = 32;

/** A place where somebody reads, perhaps a scan. */
interface Stream {
  /** The last page planned that the order can go on from. */
  last: number;
  windowPages: number;
  /** First page of the newest window; undefined once it was touched, and for a single page. */
  marked: number | undefined;
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
      if (next?.pgno === pgno) return this.#advance(map, stream, next);
    }
    this.#keep({ last: pgno, windowPages: 1, marked: undefined });
    return { pgnos: [pgno], marked: undefined };
  }

  /** The next window, if `pgno` is the marked page of one. */
  onTouch(map: PageMap, pgno: number): Window | undefined {
    const stream = this.#streams.find(({ marked }) => marked === pgno);
    if (stream === undefined) return undefined;
    const next = this.#order.next(map, stream.last);
    if (next === undefined) {
      stream.marked = undefined;
      return undefined;
    }
    return this.#advance(map, stream, next);
  }

  #advance(map: PageMap, stream: Stream, { pgno: first, isEdge }: NextPage): Window {
    if (isEdge) {
      // The reader goes on below it, and so does the stream.
      stream.marked = undefined;
      return { pgnos: this.#interiorFrom(map, first, stream), marked: undefined };
    }
    const { minPages, maxPages } = this.#limits;
    const windowPages = Math.min(maxPages, Math.max(minPages, 2 * stream.windowPages));
    const pgnos = [first];
    let last = first;
    while (pgnos.length < windowPages) {
      const next = this.#order.next(map, last);
      if (next === undefined) break;
      if (next.isEdge) {
        pgnos.push(...this.#interiorFrom(map, next.pgno, { windowPages }));
        break;
      }
      pgnos.push(next.pgno);
      last = next.pgno;
    }
    Object.assign(stream, { last, windowPages, marked: first });
    this.#keep(stream);
    return { pgnos, marked: first };
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
