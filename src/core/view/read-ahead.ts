// Which pages to fetch with the one that is missing. Only a miss on exactly the page that follows the last one planned counts
// as a scan: a guess from any forward jump reads megabytes for a few random lookups. A scan's window doubles from 4 to 256
// pages. The first page of a window is marked; when the reader comes to it, the next window starts, so that it never waits.
import type { PageMap } from "./page-map.ts";
import type { TreeOrder } from "./tree-order.ts";

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
    const stream = this.#streams.find(({ last }) => this.#order.next(map, last)?.pgno === pgno);
    if (stream !== undefined) return this.#advance(map, stream, pgno);
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
    return this.#advance(map, stream, next.pgno);
  }

  #advance(map: PageMap, stream: Stream, first: number): Window {
    const { minPages, maxPages } = this.#limits;
    const windowPages = Math.min(maxPages, Math.max(minPages, 2 * stream.windowPages));
    const pgnos = [first];
    let last = first;
    while (pgnos.length < windowPages) {
      const next = this.#order.next(map, last);
      if (next === undefined) break;
      pgnos.push(next.pgno);
      // Below it the order is known only once it has come in.
      if (next.isEdge) break;
      last = next.pgno;
    }
    Object.assign(stream, { last, windowPages, marked: first });
    this.#keep(stream);
    return { pgnos, marked: first };
  }

  #keep(stream: Stream): void {
    const others = this.#streams.filter((other) => other !== stream);
    this.#streams = [...others, stream].slice(-this.#limits.maxStreams);
  }
}
