import { describe, expect, it } from "vitest";
import type { Clock } from "../base/clock.ts";
import { encodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import { toTxid } from "../ltx/txid.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { type ObjectStore, bodyOf } from "../store/object-store.ts";
import { ltxHeader } from "../../../test/support/ltx.ts";
import { listLevel } from "./catalog.ts";
import { litestreamLayout } from "./layout.ts";
import { withHeaderTimes } from "./timeline.ts";

const stillClock: Clock = {
  nowMs: () => 5_000_000_000,
  monotonicMs: () => 0,
  sleep: async () => {},
};

/** A store of headers: TXID n of level 0 is stamped n seconds, but listed with the clock's time. */
async function storeOf(txids: readonly number[]): Promise<ObjectStore> {
  const store = createMemoryStore({ clock: stillClock });
  for (const n of txids) {
    const range = { minTxid: toTxid(n), maxTxid: toTxid(n) };
    const bytes = encodeHeader(ltxHeader({ ...range, timestampMs: n * 1000 }));
    await store.put(litestreamLayout.key({ level: 0, ...range }), bodyOf(bytes), {});
  }
  return store;
}

/** Counts header reads. */
function counting(store: ObjectStore): {
  readonly store: ObjectStore;
  readonly reads: () => number;
} {
  let reads = 0;
  const counted = new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name === "get") reads++;
      return value.bind(target);
    },
  });
  return { store: counted, reads: () => reads };
}

describe("withHeaderTimes", () => {
  it("reads headers from the newest file down, until one lies before the time", async () => {
    const { store, reads } = counting(await storeOf(Array.from({ length: 200 }, (_, n) => n + 1)));
    const files = await listLevel(store, litestreamLayout, 0, {});
    const timed = await withHeaderTimes(store, files, { beforeMs: 130_500 });
    const before = timed.filter(({ timestampMs }) => timestampMs < 130_500);
    expect(before.map(({ maxTxid }) => maxTxid)).toContain(130n);
    expect(before.every(({ maxTxid }) => maxTxid <= 130n)).toBe(true);
    expect(timed).toHaveLength(200);
    expect(reads()).toBe(100);
  });

  it("reads nothing where listed times leave no doubt", async () => {
    const { store, reads } = counting(await storeOf([1, 2, 3]));
    const files = await listLevel(store, litestreamLayout, 0, {});
    await withHeaderTimes(store, files, { beforeMs: 5_000_000_000 + 2 * 60 * 60 * 1000 });
    expect(reads()).toBe(0);
  });

  it("keeps the listed time of a file whose header cannot be read", async () => {
    const store = await storeOf([1, 2]);
    const key = "ltx/0/0000000000000003-0000000000000003.ltx";
    await store.put(key, bodyOf(new Uint8Array(ltxHeaderSizeBytes)), {});
    const files = await listLevel(store, litestreamLayout, 0, {});
    const timed = await withHeaderTimes(store, files, { beforeMs: 10_000 });
    expect(timed.find((file) => file.key === key)?.timestampMs).toBe(5_000_000_000);
    expect(timed.find((file) => file.maxTxid === 2n)?.timestampMs).toBe(2000);
  });
});
