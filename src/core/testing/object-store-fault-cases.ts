// Cases: the store behind a network that breaks, with the retrying wrapper in front. They show that nothing which the
// wrapper relies on (equal bytes read back, versions, seeking) is missing.
import { silentLogger } from "../base/log.ts";
import { createRetryingStore } from "../store/retrying-store.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { createFaultyStore } from "./faulty-store.ts";
import type { StoreCall, StoreFault } from "./faulty-store.ts";
import { bytesEqual } from "../base/bytes.ts";
import {
  borrowedBody,
  check,
  checkAbsent,
  checkContent,
  checkEqual,
  checkFails,
  keysOf,
  noise,
  put,
  read,
  storeCase,
} from "./object-store-case.ts";
import type { ObjectStoreCase } from "./object-store-case.ts";
import { createSeededRandom } from "./seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** `store` behind faults and retries. Pauses take no time. */
function behindFaults(
  store: ObjectStore,
  plan: (call: StoreCall) => StoreFault | undefined,
  attempts = 10,
): ObjectStore {
  const clock = new VirtualClock({ isEager: true });
  const random = createSeededRandom(1);
  const faulty = createFaultyStore(store, { clock, plan });
  return createRetryingStore(faulty, { clock, random, logger: silentLogger, attempts });
}

/** The first so many calls of an operation suffer `fault`. */
function first(
  times: number,
  operation: StoreCall["operation"],
  fault: StoreFault,
): (call: StoreCall) => StoreFault | undefined {
  let left = times;
  return (call) => (call.operation === operation && left-- > 0 ? fault : undefined);
}

const putCases: readonly ObjectStoreCase[] = [
  storeCase("a create-only put whose reply was lost ends as a success", async (store) => {
    if (!(await store.features({})).createOnly) return;
    const bytes = noise(2_300_000, 20);
    const retrying = behindFaults(store, first(2, "put", { kind: "lose-reply" }));
    const info = await retrying.put("key", borrowedBody(bytes), {
      condition: "absent",
      timestampMs: 1_700_000_000_007,
    });
    checkEqual(
      [info.key, info.sizeBytes, info.timestampMs],
      ["key", bytes.length, 1_700_000_000_007],
      "info",
    );
    await checkContent(store, "key", bytes);
  }),
  storeCase(
    "a create-only put whose reply was lost does not take another's object for its own",
    async (store) => {
      if (!(await store.features({})).createOnly) return;
      for (const other of ["someone's", "somebody else's", ""]) {
        await put(store, "key", other);
        const retrying = behindFaults(store, first(1, "put", { kind: "fail" }));
        await checkFails(
          put(retrying, "key", "somebody's", { condition: "absent" }),
          "store/exists",
        );
        await checkContent(store, "key", other);
      }
    },
  ),
  storeCase(
    "a create-only put that fails at once is not compared: equal bytes of another are a conflict",
    async (store) => {
      if (!(await store.features({})).createOnly) return;
      await put(store, "key", "same");
      const retrying = behindFaults(store, () => undefined);
      await checkFails(put(retrying, "key", "same", { condition: "absent" }), "store/exists");
    },
  ),
  storeCase(
    "a replace-if-unchanged put whose reply was lost ends as a success, unless another came first",
    async (store) => {
      if (!(await store.features({})).replaceIfUnchanged) return;
      const start = await put(store, "key", "start");
      const retrying = behindFaults(store, first(1, "put", { kind: "lose-reply" }));
      const mine = await put(retrying, "key", "mine", { condition: { etag: start.etag } });
      checkEqual((await store.head("key", {}))?.etag, mine.etag, "etag");
      await put(store, "key", "theirs");
      const again = behindFaults(store, first(1, "put", { kind: "fail" }));
      await checkFails(
        put(again, "key", "mine again", { condition: { etag: mine.etag } }),
        "store/changed",
      );
      await checkContent(store, "key", "theirs");
    },
  ),
  storeCase(
    "an upload that breaks in the middle starts again and is stored whole",
    async (store) => {
      const bytes = noise(2_000_000, 21);
      let cuts = 0;
      const retrying = behindFaults(store, ({ operation }) =>
        operation === "put" && cuts++ < 3 ? { kind: "cut", afterBytes: cuts * 500_000 } : undefined,
      );
      await retrying.put("key", borrowedBody(bytes), {});
      await checkContent(store, "key", bytes);
    },
  ),
  storeCase("attempts end with the last error, and nothing is stored", async (store) => {
    const retrying = behindFaults(store, first(Infinity, "put", { kind: "fail" }), 4);
    await checkFails(put(retrying, "key", "x"), "store/unavailable");
    await checkAbsent(store, "key");
  }),
];

const readCases: readonly ObjectStoreCase[] = [
  storeCase("a download that breaks goes on where it stopped", async (store) => {
    const bytes = noise(5_000_000, 22);
    await put(store, "key", bytes);
    let reads = 0;
    const retrying = behindFaults(store, ({ operation }) =>
      operation === "get" && reads++ < 6 ? { kind: "cut", afterBytes: 700_001 } : undefined,
    );
    const found = await read(retrying, "key", { offset: 1000, length: 4_500_000 });
    check(
      found !== undefined && bytesEqual(found, bytes.subarray(1000, 4_501_000)),
      "the bytes of the range",
    );
    checkEqual(reads, 7, "gets");
  }),
  storeCase(
    "a download whose object is replaced meanwhile fails instead of mixing two versions",
    async (store) => {
      await put(store, "key", noise(3_000_000, 23));
      const retrying = behindFaults(store, first(1, "get", { kind: "cut", afterBytes: 1_500_000 }));
      const content = await retrying.get("key", {});
      let isReplaced = false;
      const readAll = async (): Promise<void> => {
        for await (const _ of content?.body ?? []) {
          if (!isReplaced) await put(store, "key", noise(3_000_000, 24));
          isReplaced = true;
        }
      };
      await checkFails(readAll(), "store/changed");
    },
  ),
  storeCase("lists, heads and deletes survive failures and lost replies", async (store) => {
    for (const key of ["a", "b", "c"]) await put(store, key, key);
    let calls = 0;
    const retrying = behindFaults(store, () => {
      calls += 1;
      return calls % 3 === 0 ? undefined : { kind: calls % 3 === 1 ? "fail" : "lose-reply" };
    });
    checkEqual(await keysOf(retrying, { prefix: "" }), ["a", "b", "c"], "list");
    checkEqual((await retrying.head("b", {}))?.sizeBytes, 1, "head");
    await retrying.delete(["a", "c"], {});
    checkEqual(await keysOf(store, { prefix: "" }), ["b"], "after the delete");
  }),
];

export const faultCases: readonly ObjectStoreCase[] = [...putCases, ...readCases];
