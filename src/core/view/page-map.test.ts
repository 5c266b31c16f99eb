import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tableOf } from "../../../test/support/frame-tables.ts";
import type { PageIndexEntry } from "../ltx/page-index.ts";
import { toTxid } from "../ltx/txid.ts";
import type { FrameRef } from "./frame-table.ts";
import { PageMap } from "./page-map.ts";

interface FileSketch {
  readonly min: number;
  readonly max: number;
  readonly commit: number;
  readonly pgnos: readonly number[];
}

/** Applies files in order, numbered from 0. Each frame lies where its page number says. */
function mapOf(files: readonly FileSketch[], { isShared = false } = {}): PageMap {
  return files.reduce(
    (map, file, number) => map.apply(stateOf(file), tableOf(number, entriesOf(file), { isShared })),
    PageMap.empty(4096, { isShared }),
  );
}

function stateOf({ min, max, commit }: FileSketch): Parameters<PageMap["apply"]>[0] {
  const timestampMs = max * 1000;
  return { pageSize: 4096, commit, minTxid: toTxid(min), maxTxid: toTxid(max), timestampMs };
}

function entriesOf({ pgnos }: FileSketch): readonly PageIndexEntry[] {
  return pgnos.map((pgno) => ({ pgno, offset: pgno * 100, sizeBytes: 50 }));
}

function upTo(commit: number): readonly number[] {
  return Array.from({ length: commit }, (_, n) => n + 1);
}

/** File number of every page, 0 meaning none. */
function filesOf(map: PageMap, commit = map.commit): readonly (number | undefined)[] {
  return upTo(commit).map((pgno) => map.locate(pgno)?.file);
}

describe("PageMap", () => {
  it("finds each page in the newest file that holds it", () => {
    const map = mapOf([
      { min: 1, max: 1, commit: 4, pgnos: upTo(4) },
      { min: 2, max: 2, commit: 5, pgnos: [2, 5] },
      { min: 3, max: 7, commit: 5, pgnos: [2] },
    ]);
    expect(filesOf(map)).toEqual([0, 2, 0, 0, 1]);
    expect(map.locate(5)).toEqual({ file: 1, offset: 500, sizeBytes: 50 });
    expect(map).toMatchObject({ txid: 7n, timestampMs: 7000, pageSize: 4096, commit: 5 });
    expect([map.locate(0), map.locate(6)]).toEqual([undefined, undefined]);
  });

  it("drops pages above a smaller commit for good, even where the database grows again", () => {
    const files = [
      { min: 1, max: 1, commit: 9, pgnos: upTo(9) },
      { min: 2, max: 2, commit: 3, pgnos: [1] },
      { min: 3, max: 3, commit: 8, pgnos: [1, 7] },
    ];
    expect(filesOf(mapOf(files.slice(0, 2)), 9)).toEqual([1, 0, 0, ...Array(6).fill(undefined)]);
    const none = undefined;
    expect(filesOf(mapOf(files))).toEqual([2, 0, 0, none, none, none, 2, none]);
  });

  it("starts anew with a full image", () => {
    const map = mapOf([
      { min: 1, max: 2, commit: 3, pgnos: upTo(3) },
      { min: 1, max: 9, commit: 2, pgnos: upTo(2) },
    ]);
    expect(filesOf(map, 3)).toEqual([1, 1, undefined]);
    expect(map.depth).toBe(1);
  });

  it("refuses a file that does not follow, or of another page size", () => {
    const map = mapOf([{ min: 1, max: 5, commit: 1, pgnos: [1] }]);
    for (const [min, max] of [
      [7, 8],
      [2, 5],
      [3, 4],
    ] as const) {
      const file = { min, max, commit: 1, pgnos: [1] };
      expect(() => map.apply(stateOf(file), tableOf(1, entriesOf(file)))).toThrow("out of order");
    }
    const state = { ...stateOf({ min: 6, max: 6, commit: 1, pgnos: [] }), pageSize: 512 };
    expect(() => map.apply(state, tableOf(1, []))).toThrow("page size");
  });

  it("leaves the map it was made from as it was", () => {
    const before = mapOf([{ min: 1, max: 1, commit: 3, pgnos: upTo(3) }]);
    const file = { min: 2, max: 2, commit: 1, pgnos: [1] };
    before.apply(stateOf(file), tableOf(1, entriesOf(file)));
    expect(filesOf(before)).toEqual([0, 0, 0]);
    expect(before.txid).toBe(1n);
  });

  it("gives its generation by the TXID, so that the same database looks unchanged", () => {
    const one = mapOf([{ min: 1, max: 7, commit: 1, pgnos: [1] }]);
    const other = mapOf([
      { min: 1, max: 6, commit: 1, pgnos: [1] },
      { min: 7, max: 7, commit: 1, pgnos: [1] },
    ]);
    expect([one.generation, other.generation]).toEqual([7, 7]);
  });

  it("keeps offsets beyond 32 bits", () => {
    const entry = { pgno: 1, offset: 2 ** 45 + 3, sizeBytes: 131_146 };
    const state = stateOf({ min: 1, max: 1, commit: 1, pgnos: [] });
    const map = PageMap.empty(4096).apply(state, tableOf(70_000, [entry]));
    const { offset, sizeBytes } = entry;
    expect(map.locate(1)).toEqual({ file: 70_000, offset, sizeBytes });
  });

  it("stays shallow and small over many small files", () => {
    const base = { min: 1, max: 1, commit: 5000, pgnos: upTo(5000) };
    let map = mapOf([base]);
    for (let txid = 2; txid < 3000; txid++) {
      const file = { min: txid, max: txid, commit: 5000, pgnos: [1, 2 + ((txid * 37) % 4999)] };
      map = map.apply(stateOf(file), tableOf(txid, entriesOf(file)));
      expect(map.depth).toBeLessThan(16);
    }
    expect(map.locate(1)?.file).toBe(2999);
  });

  it("equals a model over random files, alone and opened from shared memory", () => {
    fc.assert(
      fc.property(randomFiles(), fc.boolean(), (files, isShared) => {
        const map = mapOf(files, { isShared });
        const expected = modelOf(files);
        const shared = PageMap.fromShared(structuredClone(map.share()));
        for (const view of [map, shared]) {
          const found = upTo(40).map((pgno): FrameRef | undefined => view.locate(pgno));
          expect(found.map((frame) => frame?.file)).toEqual(expected);
          const offsets = found.map((frame) => frame?.offset);
          expect(offsets).toEqual(
            expected.map((file, n) => (file === undefined ? file : 100 * (n + 1))),
          );
        }
        const { buffer } = map.share().layers[0]?.table ?? {};
        expect(buffer instanceof SharedArrayBuffer).toBe(isShared);
      }),
      { numRuns: 300 },
    );
  });
});

/** Images and ranges that follow, and overlap, each other. */
function randomFiles(): fc.Arbitrary<readonly FileSketch[]> {
  const step = fc.record({
    isImage: fc.boolean(),
    reach: fc.integer({ min: 1, max: 4 }),
    overlap: fc.integer({ min: 0, max: 3 }),
    commit: fc.integer({ min: 1, max: 40 }),
    pgnos: fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 12 }),
  });
  return fc.array(step, { minLength: 1, maxLength: 30 }).map((steps) => {
    let txid = 0;
    return steps.map(({ isImage, reach, overlap, commit, pgnos }, index): FileSketch => {
      const isWhole = index === 0 || (isImage && reach === 4);
      const min = isWhole ? 1 : Math.max(2, txid + 1 - overlap);
      txid += reach;
      const some = pgnos.filter((pgno) => pgno <= commit).toSorted((a, b) => a - b);
      return { min, max: txid, commit, pgnos: isWhole ? upTo(commit) : some };
    });
  });
}

function modelOf(files: readonly FileSketch[]): readonly (number | undefined)[] {
  let pages = new Map<number, number>();
  for (const [number, { min, commit, pgnos }] of files.entries()) {
    if (min === 1) pages = new Map();
    for (const pgno of pages.keys()) if (pgno > commit) pages.delete(pgno);
    for (const pgno of pgnos) pages.set(pgno, number);
  }
  return upTo(40).map((pgno) => pages.get(pgno));
}
