// The lease against stores of every kind, with the faults of networks, on a clock that the test owns.
import { describe, expect, it } from "vitest";
import type { Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { bodyOf } from "../store/object-store.ts";
import type { ObjectStore, StoreFeatures } from "../store/object-store.ts";
import { createFaultyStore } from "../testing/faulty-store.ts";
import type { StoreCall, StoreFault } from "../testing/faulty-store.ts";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { decodeLease, encodeLease, leaseKey, readLease } from "./lease-object.ts";
import { Lease } from "./lease.ts";
import type { LeaseMemory, LeaseOptions } from "./lease.ts";

const ttlMs = 30_000;
const signal = new AbortController().signal;

type Conditions = Pick<StoreFeatures, "createOnly" | "replaceIfUnchanged">;

const kinds: Readonly<Record<string, Conditions>> = {
  "with both conditions": { createOnly: true, replaceIfUnchanged: true },
  "that creates only": { createOnly: true, replaceIfUnchanged: false },
  "without conditions": { createOnly: false, replaceIfUnchanged: false },
};

/** A store that refuses the conditions it does not have, as real ones do. */
function limited(store: ObjectStore, conditions: Conditions): ObjectStore {
  return {
    url: store.url,
    features: async (waiting) => ({ ...(await store.features(waiting)), ...conditions }),
    put: (key, body, options) => {
      const { condition } = options;
      const needs = condition === "absent" ? "createOnly" : "replaceIfUnchanged";
      if (condition !== undefined && !conditions[needs]) throw new Error(`no ${needs} here`);
      return store.put(key, body, options);
    },
    get: (...args) => store.get(...args),
    head: (...args) => store.head(...args),
    list: (...args) => store.list(...args),
    delete: (...args) => store.delete(...args),
    copy: (...args) => store.copy(...args),
    [Symbol.asyncDispose]: async () => {},
  };
}

function memoryOf(): LeaseMemory {
  let nonces: readonly string[] = [];
  return {
    recall: async () => nonces,
    remember: async (all) => {
      nonces = all;
    },
  };
}

let nodes = 0;

interface World {
  readonly clock: VirtualClock;
  readonly store: ObjectStore;
  /** Number of files that anybody has put. */
  files: number;
  calls: string[];
  plan: (call: StoreCall) => StoreFault | undefined;
  /** A process that wants to write. */
  readonly contender: (options?: Partial<LeaseOptions>) => Lease;
}

function openWorld(conditions: Conditions, seed = 1): World {
  const clock = new VirtualClock();
  const random = createSeededRandom(seed);
  const store = createFaultyStore(limited(createMemoryStore({ clock }), conditions), {
    clock,
    plan: (call) => {
      if (call.operation !== "features") world.calls.push(`${call.operation} ${call.key}`);
      return world.plan(call);
    },
  });
  const world: World = {
    clock,
    store,
    files: 0,
    calls: [],
    plan: () => undefined,
    contender: (options) =>
      new Lease({
        store,
        clock,
        random,
        logger: silentLogger,
        nodeId: BigInt(++nodes),
        owner: `host-${nodes}:1`,
        ttlMs,
        takeOver: false,
        mayWait: true,
        memory: memoryOf(),
        activity: async () => String(world.files),
        ...options,
      }),
  };
  return world;
}

/** Lets everything that is ready go on. */
async function settleTasks(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Time passes until `work` is done. */
async function passing<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  const state = { isDone: false };
  const end = (): void => {
    state.isDone = true;
  };
  work.then(end, end);
  for (;;) {
    await settleTasks();
    if (state.isDone) return work;
    await clock.advance(500);
  }
}

describe.each(Object.entries(kinds))("a lease in a store %s", (_kind, conditions) => {
  it("is had by the first who asks, and shown with who and since when", async () => {
    const { clock, store, contender } = openWorld(conditions);
    const lease = contender({ nodeId: 0xabcn, owner: "db-1:42" });
    const askedMs = clock.nowMs();
    await passing(clock, lease.hold({}));
    expect(lease.isTrusted).toBe(true);
    const found = await readLease(store, {});
    expect(found?.record).toMatchObject({ nodeId: 0xabcn, owner: "db-1:42", ttlMs });
    expect(found?.record?.acquiredAtMs).toBe(askedMs);
  });

  it("stays with a holder that puts files, and the challenger learns whose it is", async () => {
    const world = openWorld(conditions);
    await passing(world.clock, world.contender({ owner: "db-1:42" }).hold({}));
    const challenge = world.contender().hold({});
    challenge.catch(() => undefined);
    await settleTasks();
    await world.clock.advance(5_000);
    world.files++;
    await expect(passing(world.clock, challenge)).rejects.toMatchObject({
      code: "engine/another-writer",
      message: expect.stringMatching(/is held by .* since 20\d\d-.* \(db-1:42\)/u),
    });
  });

  it("goes to a challenger after one time to live of silence, and not before", async () => {
    const { clock, contender } = openWorld(conditions);
    await passing(clock, contender().hold({}));
    const challenger = contender();
    const startMs = clock.monotonicMs();
    await passing(clock, challenger.hold({}));
    const waitedMs = clock.monotonicMs() - startMs;
    expect(waitedMs).toBeGreaterThanOrEqual(ttlMs);
    expect(waitedMs).toBeLessThan(ttlMs * 1.25);
  });

  it("is lost for good by a holder that was silent too long: it says to whom", async () => {
    const { clock, contender } = openWorld(conditions);
    const holder = contender();
    await passing(clock, holder.hold({}));
    await passing(clock, contender({ owner: "db-2:7" }).hold({}));
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(passing(clock, holder.hold({}))).rejects.toThrow(/was taken by .*\(db-2:7\)/u);
    }
    expect(holder.isTrusted).toBe(false);
  });

  it("stays with a holder whose work puts nothing for a long time", async () => {
    const { clock, contender } = openWorld(conditions);
    const holder = contender();
    const working = Promise.withResolvers<void>();
    const work = holder.during(() => working.promise, { signal });
    await passing(clock, holder.hold({}));
    await expect(passing(clock, contender().hold({}))).rejects.toThrow(/is held by/u);
    await clock.advance(10 * ttlMs);
    await passing(clock, holder.hold({}));
    working.resolve();
    await work;
  });

  it("aborts the work of a holder from whom it was taken", async () => {
    const { clock, contender } = openWorld(conditions);
    const holder = contender();
    const work = holder.during(
      ({ signal: ended }) =>
        new Promise((_, reject) => ended.addEventListener("abort", () => reject(ended.reason))),
      { signal },
    );
    work.catch(() => undefined);
    await passing(clock, holder.hold({}));
    await passing(clock, contender({ takeOver: true, owner: "db-3:9" }).hold({}));
    await expect(passing(clock, work)).rejects.toThrow(/was taken by .*\(db-3:9\)/u);
  });

  it("asks nothing of the store while its holder has nothing to put", async () => {
    const { clock, contender, calls } = openWorld(conditions);
    await passing(clock, contender().hold({}));
    const before = calls.length;
    await clock.advance(100 * ttlMs);
    await settleTasks();
    expect(calls).toHaveLength(before);
  });

  it("is confirmed by one request after a pause, and by none within the span of trust", async () => {
    const world = openWorld(conditions);
    const lease = world.contender();
    await passing(world.clock, lease.hold({}));
    await world.clock.advance(5 * ttlMs);
    world.calls.length = 0;
    for (let put = 0; put < 10; put++) await lease.hold({});
    expect(world.calls).toEqual([`head ${leaseKey}`]);
  });

  it("is free at once after it was released", async () => {
    const world = openWorld(conditions);
    const first = world.contender();
    await passing(world.clock, first.hold({}));
    await first.release({});
    expect(first.isTrusted).toBe(false);
    const startMs = world.clock.monotonicMs();
    await passing(world.clock, world.contender().hold({}));
    const settleMs = conditions.createOnly ? 0 : ttlMs / 3;
    expect(world.clock.monotonicMs() - startMs).toBeLessThanOrEqual(settleMs + 500);
  });

  it("is not released by somebody from whom it was taken", async () => {
    const { clock, store, contender } = openWorld(conditions);
    const first = contender();
    await passing(clock, first.hold({}));
    await passing(clock, contender({ owner: "db-2:7" }).hold({}));
    await first.release({}).catch(() => undefined);
    expect((await readLease(store, {}))?.record?.owner).toBe("db-2:7");
  });

  it("is gone on with at once after a crash, by the node that remembers it", async () => {
    const { clock, contender } = openWorld(conditions);
    const memory = memoryOf();
    await passing(clock, contender({ memory }).hold({}));
    const again = contender({ memory });
    const startMs = clock.monotonicMs();
    await again.hold({});
    expect(clock.monotonicMs()).toBe(startMs);
    // And once more: what replaced the first is remembered, too.
    await contender({ memory }).hold({});
    await expect(
      passing(
        clock,
        again
          .hold({})
          .then(() => clock.sleep(ttlMs, {}))
          .then(() => again.hold({})),
      ),
    ).rejects.toThrow(/was taken by/u);
  });

  it("is taken at once by who was told to, and lost by who had it", async () => {
    const { clock, contender } = openWorld(conditions);
    const holder = contender();
    await passing(clock, holder.hold({}));
    const startMs = clock.monotonicMs();
    await contender({ takeOver: true }).hold({});
    expect(clock.monotonicMs()).toBe(startMs);
    await clock.advance(ttlMs);
    await expect(holder.hold({})).rejects.toThrow(/was taken by/u);
  });

  it("is an error at once for who may not wait", async () => {
    const { clock, contender } = openWorld(conditions);
    await passing(clock, contender().hold({}));
    const startMs = clock.monotonicMs();
    await expect(contender({ mayWait: false }).hold({})).rejects.toThrow(/is held by/u);
    expect(clock.monotonicMs()).toBe(startMs);
  });

  it("is taken again by its holder when somebody has removed it", async () => {
    const { clock, store, contender } = openWorld(conditions);
    const holder = contender();
    await passing(clock, holder.hold({}));
    await store.delete([leaseKey], {});
    await clock.advance(ttlMs);
    await passing(clock, holder.hold({}));
    expect(holder.isTrusted).toBe(true);
    expect(await readLease(store, {})).toBeDefined();
  });

  it("that cannot be read is watched and replaced like any other", async () => {
    const { clock, store, contender } = openWorld(conditions);
    await store.put(leaseKey, bodyOf(new TextEncoder().encode("{}")), {});
    const challenger = contender();
    const startMs = clock.monotonicMs();
    await passing(clock, challenger.hold({}));
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(ttlMs);
    expect((await readLease(store, {}))?.record).toBeDefined();
  });

  it("keeps the longer of two times to live, so that nobody waits too short", async () => {
    const { clock, store, contender } = openWorld(conditions);
    await passing(clock, contender({ ttlMs: 10 * ttlMs }).hold({}));
    await passing(clock, contender().hold({}));
    expect((await readLease(store, {}))?.record?.ttlMs).toBe(10 * ttlMs);
  });

  it.each(["lose-reply", "fail"] as const)(
    "is decided by what is in the store when the put meets %s",
    async (kind) => {
      const world = openWorld(conditions);
      let isFirst = true;
      world.plan = ({ operation }) => {
        if (operation !== "put" || !isFirst) return undefined;
        isFirst = false;
        return { kind };
      };
      const lease = world.contender();
      const first = await passing(world.clock, lease.hold({})).then(
        () => "held",
        (error: { code: string }) => error.code,
      );
      expect(first).toBe(kind === "fail" ? "store/unavailable" : "held");
      await passing(world.clock, lease.hold({}));
      expect(lease.isTrusted).toBe(true);
    },
  );

  it("is nobody's while the store does not answer", async () => {
    const world = openWorld(conditions);
    const lease = world.contender();
    await passing(world.clock, lease.hold({}));
    await world.clock.advance(ttlMs);
    world.plan = () => ({ kind: "fail" });
    await expect(lease.hold({})).rejects.toMatchObject({ code: "store/unavailable" });
    expect(lease.isTrusted).toBe(false);
    world.plan = () => undefined;
    await lease.hold({});
    expect(lease.isTrusted).toBe(true);
  });

  it("never has two holders, whatever contenders, crashes and the network do", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const holders = await race(conditions, seed);
      // A race without changes of hands shows nothing.
      expect(holders, `seed ${seed}`).toBeGreaterThan(2);
    }
  }, 120_000);
});

/** Runs five contenders for 20 minutes of virtual time. Throws if two trust at once; returns how many ever held it. */
async function race(conditions: Conditions, seed: number): Promise<number> {
  const world = openWorld(conditions, seed);
  const random = createSeededRandom(seed * 7919);
  const chance = (share: number): boolean => random.float() < share;
  const ended = new AbortController();
  world.plan = () => {
    if (chance(0.03)) return { kind: "fail" };
    if (chance(0.03)) return { kind: "lose-reply" };
    return chance(0.5) ? { kind: "delay", ms: random.float() * 2_000 } : undefined;
  };
  const current: Lease[] = [];
  const seen = new Set<Lease>();
  /** One machine: processes on it crash, stop in order, rest, or work, one after the other. */
  async function live(machine: number): Promise<void> {
    const memory = memoryOf();
    const waiting: Waiting = { signal: ended.signal };
    // Monotonic clocks run at different speeds, by less than what the protocol allows.
    const speed = 0.95 + 0.1 * random.float();
    const clock: Clock = {
      nowMs: () => world.clock.nowMs() + machine * 3_600_000,
      monotonicMs: () => world.clock.monotonicMs() * speed,
      sleep: (ms, options) => world.clock.sleep(ms / speed, options),
    };
    while (!ended.signal.aborted) {
      const takesMemory = chance(0.7);
      const lease = world.contender({ clock, memory: takesMemory ? memory : memoryOf() });
      current[machine] = lease;
      while (!ended.signal.aborted) {
        const isHeld = await lease.hold(waiting).then(
          () => true,
          (error: { code?: string }) => error.code === "store/unavailable" && undefined,
        );
        if (isHeld === false) break;
        if (isHeld === true && chance(0.7)) world.files++;
        await clock
          .sleep(random.float() * (chance(0.2) ? 120_000 : 3_000), waiting)
          .catch(() => {});
        if (chance(0.05)) break;
      }
      if (chance(0.5)) await lease.release(waiting).catch(() => undefined);
      // The process ends: what it believed is of no account any more.
      current[machine] = world.contender();
      await clock.sleep(random.float() * 30_000, waiting).catch(() => undefined);
    }
  }
  const lives = Array.from({ length: 5 }, (_, machine) => live(machine));
  for (let step = 0; step < 6_000; step++) {
    await world.clock.advance(200);
    await new Promise((resolve) => setImmediate(resolve));
    const holders = current.filter((lease) => lease.isTrusted);
    for (const lease of holders) seen.add(lease);
    if (holders.length > 1) throw new Error(`seed ${seed}: two holders at ${step * 200} ms`);
  }
  ended.abort();
  await world.clock.advance(1);
  await Promise.allSettled(lives);
  return seen.size;
}

describe("the object of a lease", () => {
  const record = {
    nonce: "00ff",
    nodeId: 0x0123_4567_89ab_cdefn,
    owner: "db-1:42",
    acquiredAtMs: 1_700_000_000_000,
    renewedAtMs: 1_700_000_001_000,
    ttlMs,
  };
  const text = new TextDecoder().decode(encodeLease(record));

  it("is read as it was written", () => {
    expect(decodeLease(encodeLease(record))).toEqual(record);
  });

  it.each([
    ["another version", text.replace('"version": 1', '"version": 2')],
    ["no nonce", text.replace('"00ff"', '""')],
    ["a node id of another length", text.replace("0123456789abcdef", "0123456789abcde")],
    ["an owner that is no text", text.replace('"db-1:42"', "42")],
    ["a time that is none", text.replace("2023-11-14T22:13:20.000Z", "yesterday")],
    ["a time of renewal that is none", text.replace("2023-11-14T22:13:21.000Z", "today")],
    ["a time to live of nothing", text.replace("30000", "0")],
    ["a time to live of years", text.replace("30000", "1e12")],
    ["no JSON", text.slice(1)],
    ["JSON that is no object", "[]"],
  ])("with %s is nobody's we know", (_what, bytes) => {
    expect(bytes).not.toBe(text);
    expect(decodeLease(new TextEncoder().encode(bytes))).toBeUndefined();
  });
});
