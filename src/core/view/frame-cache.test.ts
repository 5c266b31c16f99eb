import { once } from "node:events";
import { Worker } from "node:worker_threads";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameCache } from "./frame-cache.ts";
import type { FrameRef } from "./frame-table.ts";

const pageSize = 512;

function frame(file: number, offset: number): FrameRef {
  return { file, offset, sizeBytes: 100 };
}

function page(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(pageSize).fill(value);
}

/** A cache of so many pages. */
function cacheOf(pages: number, { isShared = false } = {}): FrameCache {
  return FrameCache.create({ pageSize, capacityBytes: pages * (pageSize + 19), isShared });
}

function readPage(cache: FrameCache, ref: FrameRef): number | undefined {
  const into = new Uint8Array(pageSize);
  return cache.read(ref, into) === "miss" ? undefined : into[pageSize - 1];
}

describe("FrameCache", () => {
  it("gives back what was put, whole or in part, and nothing else", () => {
    const cache = cacheOf(16);
    cache.put(frame(0, 100), page(1).with(24, 9));
    expect(readPage(cache, frame(0, 100))).toBe(1);
    const part = new Uint8Array(2);
    expect(cache.read(frame(0, 100), part, 24)).toBe("hit");
    expect([...part]).toEqual([9, 1]);
    for (const other of [frame(1, 100), frame(0, 101), frame(0, 100 + 2 ** 32)]) {
      expect(cache.read(other, part)).toBe("miss");
      expect(cache.has(other)).toBe(false);
    }
    expect([...part]).toEqual([9, 1]);
  });

  it("never takes more memory than it was given, and says what it takes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: pageSize + 19, max: 200_000 }),
        fc.constantFrom(512, 1024),
        (capacityBytes, size) => {
          fc.pre(capacityBytes >= size + 19);
          const cache = FrameCache.create({ pageSize: size, capacityBytes });
          expect(cache.sizeBytes).toBeLessThanOrEqual(capacityBytes);
          expect(cache.sizeBytes).toBeGreaterThan(capacityBytes / 2 - (size + 19));
          expect(cache.share().buffer.byteLength).toBe(cache.sizeBytes);
        },
      ),
    );
  });

  it("evicts what has not been used since the hand came by, not what has just come in", () => {
    const cache = cacheOf(8);
    for (let n = 0; n < 8; n++) cache.put(frame(0, n), page(n));
    // Clears all bits, takes the first; then 1 is used again.
    cache.put(frame(0, 8), page(8));
    readPage(cache, frame(0, 1));
    cache.put(frame(0, 9), page(9));
    const there = Array.from({ length: 10 }, (_, n) => readPage(cache, frame(0, n)));
    const none = undefined;
    expect(there).toEqual([none, 1, none, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("tells the first read of a marked page, once", () => {
    const cache = cacheOf(16);
    cache.put(frame(0, 1), page(1), { isMarked: true });
    cache.put(frame(0, 2), page(2));
    const into = new Uint8Array(4);
    expect(cache.read(frame(0, 1), into)).toBe("touch");
    expect(cache.read(frame(0, 1), into)).toBe("hit");
    expect(cache.read(frame(0, 2), into)).toBe("hit");
    cache.put(frame(0, 2), page(2), { isMarked: true });
    expect(cache.read(frame(0, 2), into)).toBe("touch");
  });

  it("holds any sequence of puts as a map would, but for what it has evicted", () => {
    const step = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 60 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.constantFrom(1, 5, 48), (steps, size) => {
        const cache = cacheOf(size);
        for (const [file, offset] of steps) {
          const value = file * 61 + offset;
          cache.put(frame(file, offset), page(value));
          expect(readPage(cache, frame(file, offset))).toBe(value);
        }
        for (const [file, offset] of steps) {
          expect([file * 61 + offset, undefined]).toContain(readPage(cache, frame(file, offset)));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("fills nearly all of its slots before pages go", () => {
    const cache = cacheOf(1600);
    const count = 1280;
    for (let n = 0; n < count; n++) cache.put(frame(3, 100 + n * 2311), page(n % 256));
    const there = Array.from({ length: count }, (_, n) => cache.has(frame(3, 100 + n * 2311)));
    expect(there.filter((has) => !has).length).toBeLessThan(count / 200);
  });

  it("is never read half written by another thread", { timeout: 240_000 }, async () => {
    const cache = cacheOf(16, { isShared: true });
    const counts = new Int32Array(new SharedArrayBuffer(8));
    const worker = new Worker(
      new URL("../../../test/support/cache-reader-child.ts", import.meta.url),
      {
        workerData: { cache: cache.share(), counts, frames: 40, reads: 30_000 },
      },
    );
    const ended = once(worker, "message");
    for (let n = 0; Atomics.load(counts, 0) < 30_000; n++) {
      const value = (n * 7) % 40;
      cache.put(frame(0, value), page(value));
      // Lets the end of the worker, or its failure, be heard.
      if (n % 5000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await ended).toEqual([{ torn: 0 }]);
    expect(Atomics.load(counts, 0)).toBeGreaterThanOrEqual(30_000);
  });
});
