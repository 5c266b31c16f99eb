import { describe, expect, it } from "vitest";
import { keyOf, readAll, ViewReplica } from "../../../test/support/view-replica.ts";
import { TreeReader, sampleDatabase } from "../../../test/support/tree-reader.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { fetchDefaults } from "./fetcher.ts";
import type { ReplicaViews, ReplicaViewsOptions } from "./replica-views.ts";
import type { View } from "./view.ts";

const pageSize = 4096;
const sample = sampleDatabase();
const requestMs = 20;

interface Scene extends AsyncDisposable {
  readonly replica: ViewReplica;
  readonly clock: VirtualClock;
  readonly views: ReplicaViews;
  readonly view: View;
  readonly reader: TreeReader;
  /** Gets at once, at most, so far. */
  readonly peak: () => number;
}

/** The sample as one full image, behind a store that takes 20 ms for every get; a reader that takes 0.1 ms for a page. */
async function openScene(options: Partial<ReplicaViewsOptions> = {}): Promise<Scene> {
  const clock = new VirtualClock();
  const replica = new ViewReplica(clock);
  await replica.putDatabase(sample.bytes, pageSize);
  const views = await replica.open({ cacheBytes: 10 * 1024 * 1024, ...options });
  let peak = 0;
  replica.fault = ({ operation }) => {
    if (operation !== "get") return undefined;
    // Its own sleep begins after this.
    peak = Math.max(peak, clock.sleeperCount + 1);
    return { kind: "delay", ms: requestMs };
  };
  const view = views.newest();
  const reader = new TreeReader(view, { cache: views.cache, clock, pageMs: 0.1 });
  return {
    replica,
    clock,
    views,
    view,
    reader,
    peak: () => peak,
    [Symbol.asyncDispose]: () => reader.during(views[Symbol.asyncDispose]()),
  };
}

describe("opening", () => {
  it("takes two requests: the end with the whole index, and the header", async () => {
    await using scene = await openScene();
    const key = keyOf({ level: 9, min: 1, max: 1 });
    expect(scene.replica.takeGets()).toEqual([key, key]);
  });

  it("prefetches the interior pages, so that a lookup is one request and one wait", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    await reader.during(view.prefetch({}));
    replica.takeGets();
    expect(await reader.lookUp(sample.table, 12_345n)).toBe(true);
    expect([replica.takeGets().length, reader.waits]).toEqual([1, 1]);
  });
});

describe("lookups", () => {
  it("read one page each, with nothing ahead", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    await reader.during(view.prefetch({}));
    replica.takeGets();
    const random = createSeededRandom(1);
    for (let n = 0; n < 20; n++) {
      const rowid = BigInt(Math.floor(random.float() * sample.rows));
      expect(await reader.lookUp(sample.table, rowid)).toBe(true);
    }
    expect(replica.takeGets().length).toBeLessThanOrEqual(20);
    expect(reader.waits).toBeLessThanOrEqual(20);
  });
});

describe("scans", () => {
  it("of a table wait a few times at the start, and then never: the next window is on its way", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    await reader.during(view.prefetch({}));
    replica.takeGets();
    const leaves = await reader.scan(sample.table);
    expect(leaves).toBeGreaterThan(2500);
    expect(reader.waits).toBeLessThanOrEqual(12);
    expect(replica.takeGets().length).toBeLessThan(leaves / 20);
  });

  it("follow key order, not page numbers, through an index that lies all over the file", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    await reader.during(view.prefetch({}));
    replica.takeGets();
    const leaves = await reader.scan(sample.index);
    expect(leaves).toBeGreaterThan(250);
    expect(replica.takeGets().length).toBeLessThanOrEqual(leaves);
    expect(reader.waits).toBeLessThanOrEqual(18);
    expect(scene.peak()).toBeLessThanOrEqual(fetchDefaults.maxRequests);
    expect(scene.peak()).toBeGreaterThan(4);
  });

  it("need no prefetch: the order is learned on the way", async () => {
    await using scene = await openScene();
    const { reader } = scene;
    const leaves = await reader.scan(sample.table);
    expect(reader.waits).toBeLessThan(leaves / 20);
  });

  it("read no more than they need, and all of it, in a cache much smaller than the database", async () => {
    await using scene = await openScene({ cacheBytes: 80 * 4115 });
    const { reader, replica, views } = scene;
    replica.takeGets();
    const leaves = await reader.scan(sample.table);
    expect(replica.takeGets().length).toBeLessThan(leaves);
    expect(views.cache.sizeBytes).toBeLessThanOrEqual(80 * 4115);
  });

  it("give the whole database page by page, in caches of any size", async () => {
    for (const pages of [1, 3, 16, 100]) {
      await using scene = await openScene({ cacheBytes: pages * 4115 });
      const few = scene.reader.during(readAll(scene.view));
      expect(Buffer.compare(await few, sample.bytes)).toBe(0);
    }
  });
});

describe("requests", () => {
  it("for one page asked for twice are one", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    replica.takeGets();
    const both = Promise.all([view.fetch(900, {}), view.fetch(900, {})]);
    await reader.during(both);
    expect(replica.takeGets().length).toBe(1);
  });

  it("go on when one of two readers gives up", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    replica.takeGets();
    const cancelled = new AbortController();
    const one = view.fetch(900, { signal: cancelled.signal });
    const other = view.fetch(900, {});
    cancelled.abort(new Error("cancelled"));
    await expect(one).rejects.toThrow("cancelled");
    await reader.during(other);
    expect(replica.takeGets().length).toBe(1);
    await expect(view.fetch(1200, { signal: cancelled.signal })).rejects.toThrow("cancelled");
    expect(replica.takeGets().length).toBe(0);
  });

  it("fail for the page that was asked for, and may be made again", async () => {
    await using scene = await openScene();
    const { reader, replica, view } = scene;
    const { fault } = replica;
    replica.fault = () => ({ kind: "fail" });
    await expect(reader.during(view.fetch(900, {}))).rejects.toMatchObject({
      code: "store/unavailable",
    });
    replica.fault = () => ({ kind: "cut", afterBytes: 10 });
    await expect(reader.during(view.fetch(900, {}))).rejects.toMatchObject({
      code: "store/unavailable",
    });
    replica.fault = fault;
    await reader.during(view.fetch(900, {}));
  });

  it("for what somebody waits for do not queue behind what is read ahead", async () => {
    const limits = { ...fetchDefaults, maxRequests: 3, maxAheadRequests: 1, maxGapBytes: 0 };
    await using scene = await openScene({ limits });
    const { reader, replica, view, clock } = scene;
    await reader.during(view.prefetch({}));
    const scanned = reader.scan(sample.index);
    // A window of the scattered index is many requests, of which one may be under way.
    while (replica.calls.length < 150) await new Promise((resolve) => setImmediate(resolve));
    const startMs = clock.monotonicMs();
    await reader.during(view.fetch(sample.bytes.length / pageSize, {}));
    expect(clock.monotonicMs() - startMs).toBeLessThan(3 * requestMs);
    await scanned;
  });
});
