// What each wrapper adds; that it takes nothing away is the suite's part.
import { expect, test } from "vitest";
import { HeadwaterError } from "../base/errors.ts";
import type { LogFields } from "../base/log.ts";
import { silentLogger } from "../base/log.ts";
import { createFaultyStore } from "../testing/faulty-store.ts";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { createLimitedStore } from "./limited-store.ts";
import { createLoggedStore } from "./logged-store.ts";
import { createMemoryStore } from "./memory-store.ts";
import { bodyOf } from "./object-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { createPrefixedStore } from "./prefixed-store.ts";
import { createRetryingStore } from "./retrying-store.ts";

const some = bodyOf(new Uint8Array(1000));

/** Lets everything that can go on without time passing go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

test("the limit is never passed and fully used, by reads and by writes", async () => {
  const clock = new VirtualClock();
  const memory = createMemoryStore({ clock });
  const [reads, writes] = [
    { now: 0, most: 0 },
    { now: 0, most: 0 },
  ];
  const counted = async <T>(kind: { now: number; most: number }, work: Promise<T>): Promise<T> => {
    kind.now += 1;
    kind.most = Math.max(kind.most, kind.now);
    await clock.sleep(10, {});
    kind.now -= 1;
    return work;
  };
  const counting: ObjectStore = {
    ...memory,
    url: memory.url,
    put: (key, body, options) => counted(writes, memory.put(key, body, options)),
    head: (key, options) => counted(reads, memory.head(key, options)),
    delete: (keys, options) => counted(writes, memory.delete(keys, options)),
  };
  const store = createLimitedStore(counting, { limit: 3 });
  const all = Promise.all(
    Array.from({ length: 20 }, (_, i) => [
      store.put(`k${i}`, some, {}),
      store.head(`k${i}`, {}),
      store.delete([`k${i}`], {}),
    ]).flat(),
  );
  for (let step = 0; step < 20; step++) {
    await settle();
    await clock.advance(10);
  }
  await all;
  expect([reads.most, writes.most]).toEqual([3, 3]);
});

test("a request that waits for its turn can be aborted, and takes no turn from others", async () => {
  const clock = new VirtualClock();
  const memory = createMemoryStore({ clock });
  const slow = createFaultyStore(memory, {
    clock,
    plan: ({ key }) => (key === "slow" ? { kind: "delay", ms: 100 } : undefined),
  });
  const store = createLimitedStore(slow, { limit: 1 });
  const first = store.put("slow", some, {});
  const controller = new AbortController();
  const second = store.put("second", some, { signal: controller.signal });
  const third = store.put("third", some, {});
  const reason = new Error("stopped");
  controller.abort(reason);
  await expect(second).rejects.toBe(reason);
  await settle();
  await clock.advance(100);
  await first;
  await third;
  expect(await memory.head("second", {})).toBeUndefined();
});

test("an object can be copied through a store that allows one request at a time", async () => {
  const clock = new VirtualClock();
  const store = createLimitedStore(createMemoryStore({ clock }), { limit: 1 });
  await store.put("from", bodyOf(new Uint8Array(3_000_000)), {});
  const content = await store.get("from", {});
  const open = (): AsyncIterable<Uint8Array> => content?.body ?? some.open({});
  await store.put("to", { sizeBytes: 3_000_000, open }, {});
  expect((await store.head("to", {}))?.sizeBytes).toBe(3_000_000);
});

test("retries go on for as long as it takes, at most five minutes apart, until the signal ends them", async () => {
  const clock = new VirtualClock({ isEager: true });
  const controller = new AbortController();
  const waits: number[] = [];
  const reason = new Error("stopped");
  const dead = createFaultyStore(createMemoryStore({ clock }), {
    clock,
    plan: () => ({ kind: "fail" }),
  });
  const store = createRetryingStore(dead, {
    clock,
    random: createSeededRandom(5),
    logger: {
      log: (_level, event, fields) => {
        expect(event).toBe("store.retry");
        waits.push(Number(fields?.["waitMs"]));
        if (waits.length === 500) controller.abort(reason);
      },
    },
  });
  await expect(store.put("key", some, { signal: controller.signal })).rejects.toBe(reason);
  expect(waits).toHaveLength(500);
  expect(Math.max(...waits)).toBeLessThanOrEqual(300_000);
  expect(Math.min(...waits.slice(20))).toBeGreaterThanOrEqual(150_000);
  expect(waits[0]).toBeLessThanOrEqual(250);
});

test("what a person has to change is not retried", async () => {
  const clock = new VirtualClock({ isEager: true });
  let calls = 0;
  const memory = createMemoryStore({ clock });
  const denied: ObjectStore = {
    ...memory,
    url: "memory:",
    head: async () => {
      calls += 1;
      throw new HeadwaterError("store/denied", "no");
    },
  };
  const random = createSeededRandom(1);
  const store = createRetryingStore(denied, { clock, random, logger: silentLogger });
  await expect(store.head("key", {})).rejects.toMatchObject({ code: "store/denied" });
  expect(calls).toBe(1);
});

test("every request is logged with what it was about and how long it took", async () => {
  const clock = new VirtualClock({ isEager: true });
  const events: [string, LogFields][] = [];
  const slow = createFaultyStore(createMemoryStore({ clock }), {
    clock,
    plan: ({ operation }) => (operation === "put" ? { kind: "delay", ms: 40 } : undefined),
  });
  const store = createLoggedStore(slow, {
    clock,
    logger: { log: (_level, event, fields = {}) => events.push([event, fields]) },
  });
  await store.put("a", some, {});
  const again = store.put("a", some, { condition: "absent" });
  await expect(again).rejects.toMatchObject({ code: "store/exists" });
  await store.head("b", {});
  for await (const _ of store.list({ prefix: "" }));
  await store.delete(["a", "b"], {});
  expect(events).toEqual([
    ["store.put", { store: "memory", key: "a", sizeBytes: 1000, elapsedMs: 40 }],
    [
      "store.put",
      expect.objectContaining({ store: "memory", key: "a", code: "store/exists", elapsedMs: 40 }),
    ],
    ["store.head", { store: "memory", key: "b", isPresent: false, elapsedMs: 0 }],
    ["store.list", expect.objectContaining({ prefix: "", objects: 1, isComplete: true })],
    ["store.delete", { store: "memory", key: "a", objects: 2, elapsedMs: 0 }],
  ]);
});

test("a prefixed store sees its part alone, and says where it is", async () => {
  const clock = new VirtualClock();
  const memory = createMemoryStore({ clock });
  const part = createPrefixedStore(memory, "a/");
  await memory.put("a/x", some, {});
  await memory.put("b/x", some, {});
  await part.put("y", some, {});
  const keys = [];
  for await (const { key } of part.list({ prefix: "" })) keys.push(key);
  expect(keys).toEqual(["x", "y"]);
  expect((await memory.head("a/y", {}))?.key).toBe("a/y");
  expect(part.url).toBe("memory:/a/");
});

test("a throttled store takes the time that its bytes take", async () => {
  const clock = new VirtualClock({ isEager: true });
  const store = createFaultyStore(createMemoryStore({ clock }), {
    clock,
    plan: () => ({ kind: "throttle", bytesPerSecond: 1000 }),
  });
  await store.put("a", bodyOf(new Uint8Array(5000)), {});
  expect(clock.monotonicMs()).toBe(5000);
});
