// Cases: listing.
import { mapConcurrent } from "../base/async.ts";
import { check, checkEqual, checkFailsWith, keysOf, put, storeCase } from "./object-store-case.ts";
import type { ObjectStoreCase } from "./object-store-case.ts";
import type { ObjectInfo } from "../store/object-store.ts";

const beyondOnePage = 1105;

export const listCases: readonly ObjectStoreCase[] = [
  storeCase(
    "more objects than a page holds are listed in order, seeked into, and deleted at once",
    async (store) => {
      const keys = Array.from(
        { length: beyondOnePage },
        (_, i) => `ltx/${String(i).padStart(6, "0")}`,
      );
      // Put in another order than they are listed in.
      const shuffled = keys.map((_, i) => keys[(i * 7) % keys.length] ?? "");
      await mapConcurrent(shuffled, 16, (key) => put(store, key, key.slice(-3)));
      await put(store, "ltx-after", "x");
      checkEqual(await keysOf(store, { prefix: "ltx/" }), keys, "all");
      checkEqual(
        await keysOf(store, { prefix: "ltx/", after: "ltx/000005" }),
        keys.slice(6),
        "after the sixth",
      );
      checkEqual(
        await keysOf(store, { prefix: "ltx/", after: "ltx/001102x" }),
        keys.slice(1103),
        "after a key that is not there",
      );
      await store.delete(keys, {});
      checkEqual(await keysOf(store, { prefix: "" }), ["ltx-after"], "after the delete");
    },
  ),
  storeCase("an empty store, and a prefix that nothing has, list nothing", async (store) => {
    for (const prefix of ["", "a", "a/", "a/b/c/"]) {
      checkEqual(await keysOf(store, { prefix }), [], `prefix ${prefix}`);
      checkEqual(await keysOf(store, { prefix, after: "a" }), [], `prefix ${prefix} after a`);
    }
  }),
  storeCase("keys come in code-unit order, whatever the directories", async (store) => {
    const keys = [
      "a-b",
      "a.b",
      "a/b",
      "a/b-c/d",
      "a/b/c/d",
      "a0",
      "aa/1",
      "B",
      "0009/x",
      "0010/x",
      "b/é",
      "b/z",
      "b/日",
    ];
    // A file system cannot hold both a file and a directory of one name.
    const unclashing = keys.filter((key) => key !== "a/b");
    for (const key of unclashing) await put(store, key, key);
    checkEqual(await keysOf(store, { prefix: "" }), [...unclashing].sort(), "all");
    for (const after of [...keys, "", "a", "a/", "a/b/", "a/b/c/d/e", "zzz"]) {
      const wanted = unclashing.filter((key) => key > after).sort();
      checkEqual(
        await keysOf(store, { prefix: "", after }),
        wanted,
        `after ${JSON.stringify(after)}`,
      );
    }
  }),
  storeCase("a prefix is a plain beginning of keys, at a slash or not", async (store) => {
    const keys = ["0000/a", "0000/ab", "0000/b", "0001/a", "00", "000"];
    for (const key of keys) await put(store, key, key);
    for (const prefix of [
      "",
      "0",
      "00",
      "000",
      "0000",
      "0000/",
      "0000/a",
      "0000/ab",
      "0000/abc",
      "0001",
      "1",
      "/",
      "0000//",
    ]) {
      const wanted = keys.filter((key) => key.startsWith(prefix)).sort();
      checkEqual(await keysOf(store, { prefix }), wanted, `prefix ${prefix}`);
      const later = wanted.filter((key) => key > "0000/a");
      checkEqual(
        await keysOf(store, { prefix, after: "0000/a" }),
        later,
        `prefix ${prefix} after 0000/a`,
      );
    }
  }),
  storeCase(
    "the list says what head says, the time at least to the second it was received",
    async (store) => {
      const { listsExactTimes } = await store.features({});
      await put(store, "dir/a", "12345", { timestampMs: 1_600_000_000_123 });
      const listed: ObjectInfo[] = [];
      for await (const info of store.list({ prefix: "" })) listed.push(info);
      const [info] = listed;
      const head = await store.head("dir/a", {});
      checkEqual(
        [info?.key, info?.sizeBytes, info?.etag],
        [head?.key, head?.sizeBytes, head?.etag],
        "info",
      );
      checkEqual(info?.isExactTime, listsExactTimes, "isExactTime");
      if (listsExactTimes) checkEqual(info?.timestampMs, 1_600_000_000_123, "time");
      else check((info?.timestampMs ?? 0) > 1_600_000_000_123, "the time of receipt");
    },
  ),
  storeCase("a list can be left early, and stops when it is aborted", async (store) => {
    const keys = ["a", "b", "c"];
    for (const key of keys) await put(store, key, key);
    for await (const { key } of store.list({ prefix: "" })) {
      checkEqual(key, "a", "first key");
      break;
    }
    const reason = new Error("stopped");
    await checkFailsWith(keysOf(store, { prefix: "", signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const listSome = async (): Promise<void> => {
      for await (const _ of store.list({ prefix: "", signal: controller.signal }))
        controller.abort(reason);
    };
    await checkFailsWith(listSome(), reason);
  }),
  storeCase("objects that change during a list do not break it", async (store) => {
    const keys = Array.from({ length: 40 }, (_, i) => `k/${String(i).padStart(3, "0")}`);
    await mapConcurrent(keys, 8, (key) => put(store, key, key));
    const listed: string[] = [];
    for await (const { key } of store.list({ prefix: "k/" })) {
      listed.push(key);
      if (key === "k/005") await store.delete(["k/001", "k/030"], {});
      if (key === "k/010") await put(store, "k/020", "changed");
    }
    const stable = keys.filter((key) => key !== "k/030");
    checkEqual(
      listed.filter((key) => key !== "k/030"),
      stable,
      "keys",
    );
  }),
];
