// Every promise a store can break is found by name, and nothing is left behind.
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { silentLogger } from "../../core/base/log.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { bodyOf } from "../../core/store/object-store.ts";
import type { ObjectInfo, ObjectStore } from "../../core/store/object-store.ts";
import { createFaultyStore } from "../../core/testing/faulty-store.ts";
import type { StoreFault } from "../../core/testing/faulty-store.ts";
import { createSeededRandom } from "../../core/testing/seeded-random.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore } from "../store/open-store.ts";
import type { Check } from "./report.ts";
import { checkStore } from "./store-checks.ts";

const random = createSeededRandom(7);

/** `store` with some operations replaced. */
function altered(store: ObjectStore, changes: Partial<ObjectStore>): ObjectStore {
  return {
    url: store.url,
    features: (options) => store.features(options),
    put: (key, body, options) => store.put(key, body, options),
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    list: (options) => store.list(options),
    delete: (keys, options) => store.delete(keys, options),
    copy: (from, to, options) => store.copy(from, to, options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    ...changes,
  };
}

const removalSignal = (): AbortSignal => new AbortController().signal;

async function checksOf(
  store: ObjectStore,
  {
    clock = new VirtualClock({ isEager: true }),
    signal,
  }: { clock?: Clock; signal?: AbortSignal } = {},
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  await checkStore(store, { clock, random, removalSignal, signal }, (check) => checks.push(check));
  return checks;
}

/** The checks that are not ok, as `name: result`. */
function ills(checks: readonly Check[]): readonly string[] {
  return checks
    .filter(({ result }) => result !== "ok")
    .map(({ name, result }) => `${name}: ${result}`);
}

async function keysIn(store: ObjectStore): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list({ prefix: "" })) keys.push(key);
  return keys;
}

function memoryStore(clock: Clock = new VirtualClock()): ObjectStore {
  return createMemoryStore({ clock });
}

it("a memory store is in order, each check is made once, and its objects stay as they were", async () => {
  const store = memoryStore();
  await store.put("0000/other.ltx", bodyOf(new Uint8Array(3)), {});
  const checks = await checksOf(store);
  expect(ills(checks)).toEqual([]);
  const names = checks.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toHaveLength(14);
  expect(await keysIn(store)).toEqual(["0000/other.ltx"]);
});

it("a directory store is in order, without what it need not be able to do", async () => {
  using directory = temporaryDirectory();
  await using store = await openStore(directory.url("replica"), {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    fileSystem: nodeFileSystem,
  });
  const checks = await checksOf(store, { clock: systemClock });
  expect(ills(checks)).toEqual(["replace-if-unchanged: note"]);
  expect(await keysIn(store)).toEqual([]);
});

describe("a store that", () => {
  /** Each: what it does, the store, and exactly what must be found. */
  const broken: readonly (readonly [string, () => ObjectStore, readonly string[]])[] = [
    ["lists late", () => listsLate("put"), ["list-after-write: problem"]],
    ["lists what was deleted", () => listsLate("delete"), ["list-after-delete: warning"]],
    ["ignores ranges", ignoresRanges, ["read-range: problem"]],
    ["ignores create-only", () => ignoresCondition("absent"), ["create-only: problem"]],
    ["ignores replace-if", () => ignoresCondition("etag"), ["replace-if-unchanged: problem"]],
    [
      "can neither, and says so",
      () =>
        altered(memoryStore(), {
          features: async () => ({
            createOnly: false,
            replaceIfUnchanged: false,
            listsExactTimes: false,
            copy: false,
          }),
        }),
      ["create-only: warning", "replace-if-unchanged: note", "copy: note"],
    ],
    [
      "does not delete",
      () => altered(memoryStore(), { delete: async () => undefined }),
      [
        "delete-many: problem",
        "list-after-delete: problem",
        "delete: problem",
        "left-over: problem",
      ],
    ],
    ["forgets the time of objects", forgetsTimes, ["object-time: warning"]],
    ["has a clock 5 s ahead", () => memoryStore(skewedClock(5000)), ["clock-skew: warning"]],
    ["has a clock 5 s behind", () => memoryStore(skewedClock(-5000)), ["clock-skew: warning"]],
    ["has a clock 1 h ahead", () => memoryStore(skewedClock(3_600_000)), ["clock-skew: problem"]],
    [
      "copies nothing",
      () => altered(memoryStore(), { copy: async () => undefined }),
      ["copy: problem"],
    ],
    ["changes what is written", changesBytes, ["write: problem"]],
  ];

  it.each(broken)("%s is found out", async (_name, open, expected) => {
    const checks = await checksOf(open());
    expect(ills(checks)).toEqual(expected);
    for (const { result, change } of checks)
      expect(result === "ok" || change !== undefined).toBe(true);
  });

  it("takes 2 s per request is slow, and its figures are told", async () => {
    const clock = new VirtualClock({ isEager: true });
    const store = faulty(memoryStore(clock), clock, ({ operation }) =>
      operation === "get" ? { kind: "delay", ms: 2000 } : undefined,
    );
    const checks = await checksOf(store, { clock });
    expect(ills(checks)).toEqual(["latency: warning"]);
    expect(checks.find(({ name }) => name === "latency")?.values).toMatchObject({
      getMedianMs: 2000,
      getMaxMs: 2000,
      putMaxMs: 0,
    });
  });

  it("does not let us list is told with what to do, and nothing is written", async () => {
    let puts = 0;
    const denied = new HeadwaterError("store/denied", "list in s3://b/: HTTP 403 AccessDenied.");
    const store = altered(memoryStore(), {
      // oxlint-disable-next-line require-yield
      async *list() {
        throw denied;
      },
      put: async () => {
        puts++;
        throw denied;
      },
    });
    const checks = await checksOf(store);
    expect(ills(checks)).toEqual(["reachable: problem"]);
    expect(checks[0]?.change).toContain("Check the access key");
    expect(puts).toBe(0);
  });

  it("fails in one check is asked for the others all the same", async () => {
    const clock = new VirtualClock({ isEager: true });
    const store = faulty(memoryStore(clock), clock, ({ operation }) =>
      operation === "copy" ? { kind: "fail" } : undefined,
    );
    const checks = await checksOf(store, { clock });
    expect(ills(checks)).toEqual(["copy: problem"]);
    expect(checks.at(-1)?.name).toBe("delete");
  });
});

describe("what probing leaves", () => {
  it("is nothing when the reply to a put was lost", async () => {
    const clock = new VirtualClock({ isEager: true });
    const inner = memoryStore(clock);
    const store = faulty(inner, clock, ({ operation }) =>
      operation === "put" ? { kind: "lose-reply" } : undefined,
    );
    expect(ills(await checksOf(store, { clock }))).toEqual(["write: problem"]);
    expect(await keysIn(inner)).toEqual([]);
  });

  it.each([3, 8, 15, 25])("is nothing when it is interrupted at call %i", async (at) => {
    const clock = new VirtualClock({ isEager: true });
    const inner = memoryStore(clock);
    const controller = new AbortController();
    const store = faulty(inner, clock, ({ index }) => {
      if (index === at) controller.abort(new Error("interrupted"));
      return undefined;
    });
    const { signal } = controller;
    await expect(checksOf(store, { clock, signal })).rejects.toThrow("interrupted");
    expect(await keysIn(inner)).toEqual([]);
  });

  it("is removed by a later attempt when a delete fails", async () => {
    const clock = new VirtualClock({ isEager: true });
    const inner = memoryStore(clock);
    let deletes = 0;
    const store = faulty(inner, clock, ({ operation }) =>
      operation === "delete" && ++deletes === 4 ? { kind: "fail" } : undefined,
    );
    expect(ills(await checksOf(store, { clock }))).toEqual([]);
    expect(deletes).toBe(5);
    expect(await keysIn(inner)).toEqual([]);
  });

  it("is removed by the next run when a run was killed, but not that of one that may still go on", async () => {
    const clock = new VirtualClock({ isEager: true });
    const store = memoryStore(clock);
    const killed = `.headwater-doctor-${clock.nowMs() - 3_600_001}-0123456789abcdef-object`;
    const running = `.headwater-doctor-${clock.nowMs() - 60_000}-0123456789abcdef-object`;
    for (const key of [killed, running]) await store.put(key, bodyOf(new Uint8Array(1)), {});
    expect(ills(await checksOf(store, { clock }))).toEqual([]);
    expect(await keysIn(store)).toEqual([running]);
  });
});

function faulty(
  store: ObjectStore,
  clock: Clock,
  plan: Parameters<typeof createFaultyStore>[1]["plan"],
): ObjectStore {
  return createFaultyStore(store, { clock, plan: (call): StoreFault | undefined => plan(call) });
}

function skewedClock(skewMs: number): Clock {
  return new VirtualClock({ startMs: new VirtualClock().nowMs() + skewMs });
}

/** After such an operation the next two listings show what was there before it. */
function listsLate(after: "put" | "delete"): ObjectStore {
  const store = memoryStore();
  let stale: readonly ObjectInfo[] = [];
  let staleLists = 0;
  const infos = (): Promise<readonly ObjectInfo[]> => Array.fromAsync(store.list({ prefix: "" }));
  const remember = async (operation: "put" | "delete"): Promise<void> => {
    stale = await infos();
    staleLists = after === operation ? 2 : 0;
  };
  return altered(store, {
    put: async (key, body, options) => {
      await remember("put");
      return store.put(key, body, options);
    },
    delete: async (keys, options) => {
      await remember("delete");
      return store.delete(keys, options);
    },
    async *list({ prefix }) {
      const shown = staleLists-- > 0 ? stale : await infos();
      yield* shown.filter(({ key }) => key.startsWith(prefix));
    },
  });
}

function ignoresRanges(): ObjectStore {
  const store = memoryStore();
  return altered(store, { get: (key, { signal }) => store.get(key, { signal }) });
}

function ignoresCondition(kind: "absent" | "etag"): ObjectStore {
  const store = memoryStore();
  return altered(store, {
    put: (key, body, options) => {
      const { condition } = options;
      const isIgnored = kind === "absent" ? condition === "absent" : typeof condition === "object";
      return store.put(key, body, isIgnored ? { ...options, condition: undefined } : options);
    },
  });
}

function forgetsTimes(): ObjectStore {
  const store = memoryStore();
  return altered(store, {
    put: (key, body, { condition, signal }) => store.put(key, body, { condition, signal }),
  });
}

function changesBytes(): ObjectStore {
  const store = memoryStore();
  return altered(store, {
    put: (key, body, options) =>
      store.put(key, bodyOf(new Uint8Array(body.sizeBytes ?? 0)), options),
  });
}
