// Cases: what a put promises.
import { bodyOf } from "../store/object-store.ts";
import { hasCode } from "../base/errors.ts";
import {
  borrowedBody,
  brokenBody,
  check,
  checkAbsent,
  checkContent,
  checkEqual,
  checkFails,
  checkFailsWith,
  noise,
  put,
  storeCase,
  textBytes,
} from "./object-store-case.ts";
import type { ObjectStoreCase } from "./object-store-case.ts";

const twentyMegabytes = 20_000_000;

const plainCases: readonly ObjectStoreCase[] = [
  storeCase(
    "a put object is there with its size, time and the etag that put returned",
    async (store) => {
      const timestampMs = 1_732_233_600_123;
      const stored = await put(store, "0000/a.ltx", "hello", { timestampMs });
      checkEqual([stored.key, stored.sizeBytes], ["0000/a.ltx", 5], "info of the put");
      const found = await store.head("0000/a.ltx", {});
      check(found?.isExactTime === true, "head should know the exact time");
      checkEqual(
        [found.key, found.sizeBytes, found.timestampMs, found.etag],
        ["0000/a.ltx", 5, timestampMs, stored.etag],
        "info of the head",
      );
      await checkContent(store, "0000/a.ltx", "hello");
    },
  ),
  storeCase("every millisecond comes back exactly", async (store) => {
    for (const timestampMs of [
      0, 1, 999, 1_700_000_000_001, 1_732_233_600_999, 4_102_444_799_998,
    ]) {
      await put(store, "time", "x", { timestampMs });
      checkEqual((await store.head("time", {}))?.timestampMs, timestampMs, "time");
    }
  }),
  storeCase("an empty object is an object", async (store) => {
    await store.put("empty", bodyOf(new Uint8Array(0)), {});
    await store.put(
      "empty-of-unknown-size",
      { ...bodyOf(new Uint8Array(0)), sizeBytes: undefined },
      {},
    );
    for (const key of ["empty", "empty-of-unknown-size"]) {
      checkEqual((await store.head(key, {}))?.sizeBytes, 0, `size of ${key}`);
      await checkContent(store, key, "");
    }
  }),
  storeCase("chunks are only borrowed from the body", async (store) => {
    const bytes = noise(3_300_001, 1);
    await store.put("known", borrowedBody(bytes), {});
    await store.put("unknown", borrowedBody(bytes, { sizeBytes: undefined }), {});
    await checkContent(store, "known", bytes);
    await checkContent(store, "unknown", bytes);
  }),
  storeCase("an object of 20 MB is stored whole, of known and of unknown length", async (store) => {
    const bytes = noise(twentyMegabytes, 2);
    await store.put("big", borrowedBody(bytes, { chunkBytes: 1_000_003 }), { timestampMs: 5 });
    await checkContent(store, "big", bytes);
    const body = borrowedBody(bytes, { chunkBytes: 70_001, sizeBytes: undefined });
    const stored = await store.put("big-unknown", body, { timestampMs: 6 });
    checkEqual([stored.sizeBytes, stored.timestampMs], [twentyMegabytes, 6], "info");
    checkEqual((await store.head("big-unknown", {}))?.timestampMs, 6, "time of the stream");
    await checkContent(store, "big-unknown", bytes);
  }),
  storeCase(
    "a put replaces the object and changes its etag, even with equal size and time",
    async (store) => {
      const etags = new Set<string>();
      for (const text of ["one", "two", "six", "ten"]) {
        const { etag } = await put(store, "key", text, { timestampMs: 1000 });
        check(!etags.has(etag), `the etag ${etag} came twice`);
        etags.add(etag);
        await store.delete(text === "six" ? ["key"] : [], {});
      }
      await checkContent(store, "key", "ten");
    },
  ),
  storeCase("keys that are no relative paths are refused", async (store) => {
    for (const key of ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/./b", "a\0b"]) {
      await checkFails(put(store, key, "x"), "store/failed");
    }
    checkEqual((await store.head("../a", {}))?.key, undefined, "head of ../a");
  }),
];

const failureCases: readonly ObjectStoreCase[] = [
  storeCase(
    "a body of another length than announced stores nothing and leaves the old object",
    async (store) => {
      await put(store, "key", "old");
      for (const [bytes, announced] of [
        [100, 101],
        [101, 100],
        [0, 1],
        [1, 0],
        [3_000_000, 3_000_001],
        [3_000_001, 3_000_000],
      ] as const) {
        const body = borrowedBody(noise(bytes, 3), { sizeBytes: announced });
        await checkFails(store.put("new", body, {}), "store/length");
        await checkFails(store.put("key", body, {}), "store/length");
      }
      await checkAbsent(store, "new");
      await checkContent(store, "key", "old");
    },
  ),
  storeCase(
    "a body that fails half way stores nothing and its own error comes out",
    async (store) => {
      await put(store, "key", "old");
      const failure = new Error("the disk of the source broke");
      const end = (): Promise<void> => Promise.reject(failure);
      for (const sizeBytes of [2000, undefined]) {
        const body = brokenBody(noise(1000, 4), sizeBytes, end);
        await checkFailsWith(store.put("new", body, {}), failure);
        await checkFailsWith(store.put("key", body, {}), failure);
      }
      await checkFailsWith(
        store.put("new", brokenBody(noise(12_000_000, 4), undefined, end), {}),
        failure,
      );
      await checkAbsent(store, "new");
      await checkContent(store, "key", "old");
    },
  ),
  storeCase("a put that is aborted before it begins does nothing", async (store) => {
    const reason = new Error("stopped");
    const signal = AbortSignal.abort(reason);
    await checkFailsWith(put(store, "key", "x", { signal }), reason);
    await checkAbsent(store, "key");
  }),
  storeCase("a put that is aborted in the middle of its body stores nothing", async (store) => {
    for (const [sizeBytes, firstBytes] of [
      [2_000_000, 1_000_000],
      [undefined, 1000],
      [undefined, 12_000_000],
    ] as const) {
      const reason = new Error("stopped");
      const controller = new AbortController();
      const end = async (): Promise<void> => controller.abort(reason);
      const body = brokenBody(noise(firstBytes, 5), sizeBytes, end);
      await checkFailsWith(store.put("key", body, { signal: controller.signal }), reason);
    }
    await checkAbsent(store, "key");
  }),
  storeCase("a put is aborted even while its body hangs", async (store) => {
    const reason = new Error("stopped");
    const controller = new AbortController();
    const end = (): Promise<void> => {
      controller.abort(reason);
      return new Promise(() => undefined);
    };
    const body = brokenBody(noise(1000, 6), 2000, end);
    await checkFailsWith(store.put("key", body, { signal: controller.signal }), reason);
    await checkAbsent(store, "key");
  }),
  storeCase("no reader ever sees a part of an object", async (store) => {
    const sizeBytes = 1_500_000;
    const writer = { isDone: false };
    const write = async (): Promise<void> => {
      for (let round = 1; round <= 6; round++) {
        await put(store, "key", new Uint8Array(sizeBytes).fill(round));
      }
      writer.isDone = true;
    };
    const readAll = async (): Promise<void> => {
      while (!writer.isDone) {
        const content = await store.get("key", {});
        let total = 0;
        let first: number | undefined;
        for await (const chunk of content?.body ?? []) {
          first ??= chunk[0];
          check(chunk[0] === first && chunk.at(-1) === first, "two versions in one read");
          total += chunk.length;
        }
        check(content === undefined || total === sizeBytes, `read ${total} bytes`);
        await Promise.resolve();
      }
    };
    await Promise.all([write(), readAll()]);
  }),
];

const conditionCases: readonly ObjectStoreCase[] = [
  storeCase("a create-only put creates, and leaves an existing object alone", async (store) => {
    if (!(await store.features({})).createOnly) {
      await checkFails(put(store, "key", "one", { condition: "absent" }), "store/failed");
      return;
    }
    await put(store, "key", "one", { condition: "absent" });
    await checkFails(put(store, "key", "two", { condition: "absent" }), "store/exists");
    await checkContent(store, "key", "one");
    await store.delete(["key"], {});
    await put(store, "key", "three", { condition: "absent" });
    await checkContent(store, "key", "three");
  }),
  storeCase(
    "of 16 concurrent create-only puts exactly one wins, and its bytes are stored",
    async (store) => {
      if (!(await store.features({})).createOnly) return;
      for (let round = 0; round < 5; round++) {
        const key = `race-${round}`;
        const results = await Promise.allSettled(
          Array.from({ length: 16 }, (_, i) =>
            put(store, key, `writer ${i}`, { condition: "absent" }),
          ),
        );
        const winners = results.flatMap(({ status }, i) => (status === "fulfilled" ? [i] : []));
        checkEqual(winners.length, 1, "winners");
        for (const result of results) {
          if (result.status === "rejected")
            check(hasCode(result.reason, "store/exists"), String(result.reason));
        }
        await checkContent(store, key, `writer ${winners[0]}`);
      }
    },
  ),
  storeCase("a replace-if-unchanged put replaces only that version", async (store) => {
    const first = await put(store, "key", "one");
    if (!(await store.features({})).replaceIfUnchanged) {
      await checkFails(
        put(store, "key", "two", { condition: { etag: first.etag } }),
        "store/failed",
      );
      return;
    }
    const second = await put(store, "key", "two", { condition: { etag: first.etag } });
    await checkFails(
      put(store, "key", "three", { condition: { etag: first.etag } }),
      "store/changed",
    );
    await checkContent(store, "key", "two");
    await put(store, "key", "four", { condition: { etag: second.etag } });
    await checkContent(store, "key", "four");
    await store.delete(["key"], {});
    await checkFails(
      put(store, "key", "five", { condition: { etag: second.etag } }),
      "store/changed",
    );
    await checkAbsent(store, "key");
  }),
  storeCase("of 16 concurrent replace-if-unchanged puts exactly one wins", async (store) => {
    if (!(await store.features({})).replaceIfUnchanged) return;
    let { etag } = await put(store, "key", "start");
    for (let round = 0; round < 5; round++) {
      const condition = { etag };
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, i) => put(store, "key", `${round} ${i}`, { condition })),
      );
      const winners = results.flatMap((result) =>
        result.status === "fulfilled" ? [result.value] : [],
      );
      checkEqual(winners.length, 1, "winners");
      for (const result of results) {
        if (result.status === "rejected")
          check(hasCode(result.reason, "store/changed"), String(result.reason));
      }
      etag = winners[0]?.etag ?? "";
      checkEqual((await store.head("key", {}))?.etag, etag, "etag of the winner");
    }
  }),
  storeCase("a conditional put whose body fails changes nothing", async (store) => {
    if (!(await store.features({})).createOnly) return;
    const body = { ...bodyOf(textBytes("12345")), sizeBytes: 6 };
    await checkFails(store.put("key", body, { condition: "absent" }), "store/length");
    await checkAbsent(store, "key");
    await put(store, "key", "whole", { condition: "absent" });
    await checkContent(store, "key", "whole");
  }),
];

export const putCases: readonly ObjectStoreCase[] = [
  ...plainCases,
  ...failureCases,
  ...conditionCases,
];
