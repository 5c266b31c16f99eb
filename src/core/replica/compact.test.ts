import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sampleHistory } from "../../../test/support/replica-builder.ts";
import { collect } from "../../../test/support/ltx.ts";
import { must } from "../base/assert.ts";
import { hasCode } from "../base/errors.ts";
import { toTxid } from "../ltx/txid.ts";
import { type ObjectStore, bodyOf } from "../store/object-store.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { createFaultyStore } from "../testing/faulty-store.ts";
import type { StoreFault } from "../testing/faulty-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { type ReplicaFile, listReplica } from "./catalog.ts";
import { type CompactOptions, compact } from "./compact.ts";
import { planCompaction } from "./plan-compaction.ts";
import { litestreamLayout as layout } from "./layout.ts";

function file(level: number, min: number, max: number): ReplicaFile {
  const range = { level, minTxid: toTxid(min), maxTxid: toTxid(max) };
  const key = layout.key(range);
  return { ...range, key, sizeBytes: 1, timestampMs: max * 1000, isExactTime: true, etag: key };
}

function planned(
  files: readonly ReplicaFile[],
  interval?: { startMs: number; nowMs: number },
): readonly string[] {
  const plan = planCompaction(files, { level: 1, interval });
  return (plan?.inputs ?? []).map(({ minTxid, maxTxid }) => `${minTxid}-${maxTxid}`);
}

describe("planCompaction", () => {
  const singles = [1, 2, 3, 4, 5].map((n) => file(0, n, n));

  it("takes what the level does not hold yet", () => {
    expect(planned(singles)).toEqual(["1-1", "2-2", "3-3", "4-4", "5-5"]);
    expect(planned([...singles, file(1, 1, 3)])).toEqual(["4-4", "5-5"]);
    expect(planned([...singles, file(1, 1, 5)])).toEqual([]);
  });

  it("waits until an interval has passed since the newest file of the level", () => {
    const files = [...singles, file(1, 1, 3)];
    expect(planned(files, { startMs: 2999, nowMs: 5000 })).toEqual([]);
    expect(planned(files, { startMs: 3000, nowMs: 5000 })).toEqual(["4-4", "5-5"]);
    expect(planned(singles, { startMs: 0, nowMs: 5000 })).toHaveLength(5);
  });

  it("does not wait for a clock that was set back", () => {
    const files = [...singles, file(1, 1, 3)];
    expect(planned(files, { startMs: 1000, nowMs: 2000 })).toEqual(["4-4", "5-5"]);
  });

  it("ends at a hole, and goes on after it the next time", () => {
    const files = [file(0, 2, 2), file(0, 3, 3), file(0, 6, 6)];
    expect(planned(files)).toEqual(["2-2", "3-3"]);
    expect(planned([...files, file(1, 2, 3)])).toEqual(["6-6"]);
  });

  it("takes a wide file instead of those it holds", () => {
    expect(planned([...singles, file(0, 2, 4)])).toEqual(["1-1", "2-4", "5-5"]);
  });

  it("always gives a chain that can be merged, and in the end everything", () => {
    const anyFile = fc
      .tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 4 }))
      .map(([min, more]) => file(0, min, min + more));
    fc.assert(
      fc.property(fc.array(anyFile, { minLength: 1 }), (some) => {
        const sources = [...new Map(some.map((one) => [one.key, one])).values()];
        const made: ReplicaFile[] = [];
        for (;;) {
          const plan = planCompaction([...sources, ...made], { level: 1 });
          if (plan === undefined) break;
          for (const [n, input] of plan.inputs.entries()) {
            const before = plan.inputs[n - 1];
            if (before === undefined) continue;
            expect(input.minTxid <= before.maxTxid + 1n).toBe(true);
            expect(input.maxTxid > before.maxTxid && input.minTxid > before.minTxid).toBe(true);
          }
          const first = must(plan.inputs[0], "an input");
          const last = must(plan.inputs.at(-1), "an input");
          made.push(file(1, Number(first.minTxid), Number(last.maxTxid)));
          expect(made.length).toBeLessThanOrEqual(sources.length);
        }
        for (let txid = 1n; txid <= 34n; txid++) {
          const holds = (one: ReplicaFile): boolean => one.minTxid <= txid && txid <= one.maxTxid;
          expect(made.some(holds)).toBe(sources.some(holds));
        }
      }),
    );
  });
});

async function contents(store: ObjectStore): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { key, timestampMs } of await listReplica(store, layout, {})) {
    const content = must(await store.get(key, {}), key);
    const bytes = await collect(content.body);
    found.set(key, `${timestampMs} ${hex(bytes)}`);
  }
  return found;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

describe("compact", () => {
  const history = sampleHistory();
  const { codec } = history;

  async function storeWith(from: number, to: number): Promise<ObjectStore> {
    const store = createMemoryStore({ clock: new VirtualClock() });
    for (let n = from; n <= to; n++) {
      const bytes = await history.fileOf({ min: n, max: n });
      const key = layout.key({ level: 0, minTxid: toTxid(n), maxTxid: toTxid(n) });
      await store.put(key, bodyOf(bytes), { timestampMs: 1_700_000_000_000 + n * 1000 });
    }
    return store;
  }

  async function compactOnce(
    store: ObjectStore,
    level = 1,
    options: Partial<CompactOptions> = {},
  ): Promise<string | undefined> {
    const plan = planCompaction(await listReplica(store, layout, {}), { level });
    if (plan === undefined) return undefined;
    return (await compact(plan, { store, layout, codec, ...options })).how;
  }

  it("makes the file of the whole range, with the proof of its ends and the time of its newest input", async () => {
    await using store = await storeWith(1, 10);
    expect(await compactOnce(store, 1, { nodeId: 7n })).toBe("merged");
    const made = must(
      (await listReplica(store, layout, {})).find(({ level }) => level === 1),
      "L1",
    );
    expect([made.minTxid, made.maxTxid, made.timestampMs]).toEqual([1n, 10n, 1_700_000_010_000]);
    const expected = await history.fileOf({ min: 1, max: 10 }, { walOffset: 0n });
    const bytes = await collect(must(await store.get(made.key, {}), "L1").body);
    expect(hex(bytes)).toBe(hex(expected));
  });

  it("promotes a single file by a copy inside the store, byte for byte, without reading it", async () => {
    await using store = await storeWith(1, 1);
    const gets: (number | undefined)[] = [];
    const passing = createFaultyStore(store, { clock: new VirtualClock(), plan: () => undefined });
    const watched: ObjectStore = {
      ...passing,
      get: (key, options) => {
        gets.push(options.length);
        return passing.get(key, options);
      },
    };
    expect(await compactOnce(watched)).toBe("copied");
    expect(new Set(gets)).toEqual(new Set([100]));
    const [one, other] = await contents(store);
    expect(one?.[1]).toBe(other?.[1]);
  });

  it("does not copy a file on that was altered after it was listed", async () => {
    await using store = await storeWith(1, 1);
    const files = await listReplica(store, layout, {});
    const { key, sizeBytes } = must(files[0], "L0");
    const plan = must(planCompaction(files, { level: 1 }), "a plan");
    const bytes = await collect(must(await store.get(key, {}), "L0").body);
    bytes[sizeBytes - 1] = 0;
    await store.put(key, bodyOf(bytes), {});
    await expect(compact(plan, { store, layout, codec })).rejects.toMatchObject({
      code: "store/changed",
    });
    expect(await listReplica(store, layout, {})).toHaveLength(1);
  });

  it("reads local files where there are any, and those only", async () => {
    await using store = await storeWith(1, 5);
    const files = await listReplica(store, layout, {});
    const bytesByKey = new Map<string, Uint8Array>();
    for (const { key } of files) {
      bytesByKey.set(key, await collect(must(await store.get(key, {}), key).body));
    }
    const clock = new VirtualClock();
    const read: string[] = [];
    const faulty = createFaultyStore(store, {
      clock,
      plan: ({ operation, key }) => void (operation === "get" && read.push(key)),
    });
    await compactOnce(faulty, 1, {
      localBody: ({ key }) => bodyOf(must(bytesByKey.get(key), key)),
    });
    expect(read.filter((key) => key.startsWith(layout.levelPrefix(0)))).toEqual([]);
  });

  it("ends in the same replica wherever it is interrupted, with no hole and nothing twice", async () => {
    const faults: readonly StoreFault[] = [
      { kind: "fail" },
      { kind: "lose-reply" },
      { kind: "cut", afterBytes: 150 },
    ];
    for (const [from, to] of [
      [1, 5],
      [1, 1],
    ] as const) {
      await using undisturbed = await storeWith(from, to);
      await compactOnce(undisturbed);
      const expected = await contents(undisturbed);
      for (const fault of faults) {
        let calls = Infinity;
        for (let at = 1; at <= calls; at++) {
          await using store = await storeWith(from, to);
          let seen = 0;
          const faulty = createFaultyStore(store, {
            clock: new VirtualClock({ isEager: true }),
            plan: ({ index }) => {
              seen = index;
              return index === at ? fault : undefined;
            },
          });
          await compactOnce(faulty).catch((error: unknown) => {
            if (!hasCode(error, "store/unavailable", "ltx/short")) throw error;
          });
          if (seen < at) calls = at;
          await compactOnce(store);
          expect(await contents(store), `${fault.kind} at call ${at}`).toEqual(expected);
        }
      }
    }
  });

  it("takes an equal file under its name as its own, and refuses another", async () => {
    await using store = await storeWith(1, 5);
    const plan = must(planCompaction(await listReplica(store, layout, {}), { level: 1 }), "a plan");
    await compact(plan, { store, layout, codec });
    const before = await contents(store);
    await compact(plan, { store, layout, codec });
    expect(await contents(store)).toEqual(before);
    const key = layout.key({ level: 1, minTxid: toTxid(1), maxTxid: toTxid(5) });
    await store.put(key, bodyOf(await history.fileOf({ min: 1, max: 4 })), {});
    const error: unknown = await compact(plan, { store, layout, codec }).catch((e: unknown) => e);
    expect(hasCode(error, "engine/another-writer")).toBe(true);
  });

  it("says so when the new file does not continue the one before it", async () => {
    await using store = await storeWith(1, 5);
    const proof = { before: history.checksumAt(1), after: (1n << 63n) | 5n };
    const other = await history.fileOf({ min: 2, max: 3 }, { proof });
    const key = layout.key({ level: 1, minTxid: toTxid(2), maxTxid: toTxid(3) });
    await store.put(key, bodyOf(other), {});
    const error: unknown = await compactOnce(store).catch((e: unknown) => e);
    expect(hasCode(error, "replica/proof")).toBe(true);
  });

  it("says so when the store no longer lists what it took", async () => {
    await using store = await storeWith(1, 5);
    const forgetful: ObjectStore = {
      ...createFaultyStore(store, { clock: new VirtualClock(), plan: () => undefined }),
      async *list(options) {
        if (!options.prefix.startsWith(layout.levelPrefix(1))) yield* store.list(options);
      },
    };
    const error: unknown = await compactOnce(forgetful).catch((e: unknown) => e);
    expect(hasCode(error, "replica/gap")).toBe(true);
  });

  it("fails when an input is gone, and puts nothing", async () => {
    await using store = await storeWith(1, 5);
    const plan = must(planCompaction(await listReplica(store, layout, {}), { level: 1 }), "a plan");
    await store.delete([must(plan.inputs[2], "an input").key], {});
    const error: unknown = await compact(plan, { store, layout, codec }).catch((e: unknown) => e);
    expect(hasCode(error, "store/changed")).toBe(true);
    expect((await listReplica(store, layout, {})).filter(({ level }) => level === 1)).toEqual([]);
  });
});
