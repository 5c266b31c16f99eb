import { describe, expect, it } from "vitest";
import { tableOf } from "../../../test/support/frame-tables.ts";
import type { PageIndexEntry } from "../ltx/page-index.ts";
import { toTxid } from "../ltx/txid.ts";
import { FrameCache } from "./frame-cache.ts";
import { PageMap } from "./page-map.ts";
import { ReadAhead } from "./read-ahead.ts";
import { TreeOrder } from "./tree-order.ts";

const pageSize = 512;
const commit = 400;
const limits = { minPages: 4, maxPages: 16, maxApart: 100, apartBytes: 1000, maxStreams: 2 };

function imageMap(txid: number, offset: number): PageMap {
  const entries = Array.from({ length: commit }, (_, n): PageIndexEntry => ({
    pgno: n + 1,
    offset: offset + n * 100,
    sizeBytes: 90,
  }));
  const txids = { minTxid: toTxid(1), maxTxid: toTxid(txid) };
  const state = { pageSize, commit, timestampMs: 0, ...txids };
  return PageMap.empty(pageSize).apply(state, tableOf(0, entries));
}

/** An interior page of a table with these children. */
function interior(children: readonly number[]): Uint8Array {
  const page = new Uint8Array(pageSize);
  const view = new DataView(page.buffer);
  page[0] = 5;
  view.setUint16(3, children.length - 1);
  for (const [index, child] of children.entries()) {
    if (index === children.length - 1) {
      view.setUint32(8, child);
      continue;
    }
    const offset = pageSize - 5 * (index + 1);
    view.setUint16(12 + 2 * index, offset);
    view.setUint32(offset, child);
    page[offset + 4] = index;
  }
  return page;
}

function range(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, n) => first + n);
}

interface Tree {
  readonly map: PageMap;
  readonly cache: FrameCache;
  readonly order: TreeOrder;
  readonly note: (pgno: number, children: readonly number[], map?: PageMap) => void;
}

/** A tree of two interior pages, 10 and 11, below the root 9, whose leaves are in no order of their numbers. */
function tree(): Tree {
  const map = imageMap(1, 100);
  const cache = FrameCache.create({ pageSize, capacityBytes: 100_000 });
  const order = new TreeOrder({ cache, maxChildren: 1000 });
  order.reach(commit);
  const note: Tree["note"] = (pgno, children, of = map) => {
    const frame = of.locate(pgno);
    if (frame === undefined) throw new Error("no frame");
    const page = interior(children);
    cache.put(frame, page);
    order.note({ pgno, frame }, page);
  };
  note(9, [10, 11]);
  note(10, [300, 20, 250]);
  return { map, cache, order, note };
}

describe("TreeOrder", () => {
  it("goes in key order, into the next cousin, and ends with the tree", () => {
    const { map, order, note } = tree();
    expect(order.next(map, 300)).toMatchObject({ pgno: 20, isEdge: false });
    expect(order.next(map, 250)).toMatchObject({ pgno: 11, isEdge: true });
    note(11, [40, 30]);
    expect(order.next(map, 250)).toEqual({ pgno: 40, isEdge: false, entered: [11] });
    expect(order.next(map, 30)).toBeUndefined();
    expect(order.next(map, 10)).toMatchObject({ pgno: 11, isEdge: false });
  });

  it("takes the next number only where no parent is known", () => {
    const { map, order } = tree();
    expect(order.next(map, 350)).toEqual({ pgno: 351, isEdge: false, entered: [] });
    expect(order.next(map, commit)).toBeUndefined();
  });

  it("tells versions of a page apart, and reads again what is still in the cache", () => {
    const { map, order, note } = tree();
    const later = imageMap(2, 90_000);
    note(10, [300, 77], later);
    expect(order.next(later, 300)).toMatchObject({ pgno: 77, isEdge: false });
    expect(order.next(map, 300)).toMatchObject({ pgno: 20, isEdge: false });
  });

  it("remembers no more than it may, and no page that does not exist", () => {
    const { map, order, note } = tree();
    for (let pgno = 100; pgno < 180; pgno++)
      note(
        pgno,
        Array.from({ length: 50 }, () => 4_000_000),
      );
    expect(order.next(map, 4_000_000)).toBeUndefined();
    // Forgotten, and still in the cache.
    expect(order.next(map, 300)).toMatchObject({ pgno: 20, isEdge: false });
  });

  it("does not go round in circles that a damaged page makes", () => {
    const { map, order, note } = tree();
    note(50, [51, 50]);
    note(51, [50, 51]);
    expect(() => order.next(map, 51)).not.toThrow();
    const ahead = new ReadAhead(order, limits);
    ahead.onMiss(map, 50);
    const { pgnos } = ahead.onMiss(map, order.next(map, 50)?.pgno ?? 0);
    expect(pgnos.length).toBeLessThanOrEqual(limits.maxPages);
  });
});

describe("ReadAhead", () => {
  it("doubles the window of a scan, and starts the next when its mark is touched", () => {
    const { map, order } = tree();
    const ahead = new ReadAhead(order, { ...limits, maxPages: 32 });
    expect(ahead.onMiss(map, 350)).toEqual({ pgnos: [350], marked: undefined });
    expect(ahead.onMiss(map, 351)).toEqual({ pgnos: [351, 352, 353, 354], marked: 351 });
    expect(ahead.onTouch(map, 352)).toEqual([]);
    expect(ahead.onTouch(map, 351)).toEqual([{ pgnos: range(355, 8), marked: 355 }]);
    expect(ahead.onTouch(map, 351)).toEqual([]);
    expect(ahead.onTouch(map, 355)).toEqual([{ pgnos: range(363, 16), marked: 363 }]);
  });

  it("keeps two windows of full width under way, whichever mark the reader comes to", () => {
    const { map, order } = tree();
    const ahead = new ReadAhead(order, { ...limits, minPages: 8, maxPages: 8 });
    ahead.onMiss(map, 310);
    expect(ahead.onMiss(map, 311).pgnos).toEqual(range(311, 8));
    expect(ahead.onTouch(map, 311).map(({ marked }) => marked)).toEqual([319, 327]);
    expect(ahead.onTouch(map, 319).map(({ marked }) => marked)).toEqual([335]);
    expect(ahead.onTouch(map, 335).map(({ marked }) => marked)).toEqual([343, 351]);
  });

  it("grows fourfold once a scan has gone far", () => {
    const { map, order } = tree();
    const ahead = new ReadAhead(order, { ...limits, minPages: 64, maxPages: 150 });
    ahead.onMiss(map, 30);
    expect(ahead.onMiss(map, 31).pgnos.length).toBe(64);
    expect(ahead.onTouch(map, 31).map(({ pgnos }) => pgnos.length)).toEqual([150]);
  });

  it("ends a window where too many of its frames lie apart", () => {
    const { map, order, note } = tree();
    const apart = Array.from({ length: 20 }, (_, n) => 100 + 10 * (n % 2) + n);
    note(12, apart);
    note(9, [10, 11, 12]);
    const ahead = new ReadAhead(order, { ...limits, maxApart: 3, apartBytes: 800 });
    ahead.onMiss(map, 100);
    expect(ahead.onMiss(map, 111).pgnos).toEqual(apart.slice(1, 5));
    expect(ahead.onTouch(map, 111).map(({ pgnos }) => pgnos)).toEqual([apart.slice(5, 9)]);
  });

  it("does not take a jump forward for a scan", () => {
    const { map, order } = tree();
    const ahead = new ReadAhead(order, limits);
    for (const pgno of [300, 250, 310, 312, 330]) {
      expect(ahead.onMiss(map, pgno)).toEqual({ pgnos: [pgno], marked: undefined });
    }
  });

  it("follows several scans at once, and forgets the one used least recently", () => {
    const { map, order } = tree();
    const ahead = new ReadAhead(order, limits);
    ahead.onMiss(map, 200);
    ahead.onMiss(map, 350);
    expect(ahead.onMiss(map, 201).pgnos.length).toBe(4);
    expect(ahead.onMiss(map, 351).pgnos.length).toBe(4);
    ahead.onMiss(map, 100);
    expect(ahead.onMiss(map, 205).pgnos).toEqual([205]);
  });

  it("ends a window at a page below which it knows nothing, and goes on when that has come in", () => {
    const { map, order, note } = tree();
    const ahead = new ReadAhead(order, limits);
    ahead.onMiss(map, 300);
    expect(ahead.onMiss(map, 20).pgnos).toEqual([20, 250, 11]);
    note(11, [40, 30]);
    // With the interior page, which may have left the cache since.
    expect(ahead.onTouch(map, 20)).toEqual([{ pgnos: [11, 40, 30], marked: 40 }]);
  });

  it("goes on below a page that it had to wait for", () => {
    const { map, order, note } = tree();
    const ahead = new ReadAhead(order, limits);
    ahead.onMiss(map, 300);
    ahead.onMiss(map, 20);
    expect(ahead.onMiss(map, 11)).toEqual({ pgnos: [11], marked: undefined });
    note(11, [40, 30]);
    expect(ahead.onMiss(map, 40)).toEqual({ pgnos: [11, 40, 30], marked: 40 });
  });

  it("takes several interior pages where a large window ends", () => {
    const { map, order, note } = tree();
    note(9, [10, 11, 12, 13]);
    const ahead = new ReadAhead(order, { ...limits, minPages: 64, maxPages: 64 });
    ahead.onMiss(map, 300);
    expect(ahead.onMiss(map, 20).pgnos).toEqual([20, 250, 11, 12]);
  });
});
