// Cases: get, head, delete and copy.
import { bytesEqual, collectBytes } from "../base/bytes.ts";
import { must } from "../base/assert.ts";
import { mapConcurrent } from "../base/async.ts";
import {
  check,
  checkAbsent,
  checkContent,
  checkEqual,
  checkFails,
  checkFailsWith,
  keysOf,
  noise,
  put,
  read,
  storeCase,
} from "./object-store-case.ts";
import type { ObjectStoreCase } from "./object-store-case.ts";

const getCases: readonly ObjectStoreCase[] = [
  storeCase(
    "a range gives exactly its bytes: start, middle, end, past the end, nothing",
    async (store) => {
      const bytes = noise(2_500_000, 7);
      const size = bytes.length;
      await put(store, "key", bytes);
      const ranges: readonly (readonly [offset: number | undefined, length: number | undefined])[] =
        [
          [undefined, undefined],
          [0, 1],
          [0, size],
          [1, 2],
          [1_048_575, 2],
          [1_048_576, 1_048_576],
          [size - 1, 1],
          [size - 1, 100],
          [size, 1],
          [size, undefined],
          [size + 5, 10],
          [0, 0],
          [7, 0],
          [5, undefined],
          [undefined, 10],
          [0, size + 1],
        ];
      for (const [offset, length] of ranges) {
        const found = await read(store, "key", { offset, length });
        const start = offset ?? 0;
        const wanted = bytes.subarray(start, length === undefined ? undefined : start + length);
        check(
          found !== undefined && bytesEqual(found, wanted),
          `range ${offset} ${length}: ${found?.length} bytes`,
        );
        const content = await store.get("key", { offset, length });
        checkEqual(
          content?.info.sizeBytes,
          size,
          `size of the object in range ${offset} ${length}`,
        );
        for await (const _ of content?.body ?? []) break;
      }
    },
  ),
  storeCase("ranges of an empty object are empty", async (store) => {
    await put(store, "key", "");
    for (const [offset, length] of [
      [undefined, undefined],
      [0, 5],
      [3, undefined],
      [0, 0],
    ] as const) {
      checkEqual(
        (await read(store, "key", { offset, length }))?.length,
        0,
        `range ${offset} ${length}`,
      );
    }
  }),
  storeCase("an absent object is undefined", async (store) => {
    await checkAbsent(store, "nothing");
    await checkAbsent(store, "nothing/at/all");
    checkEqual(
      await read(store, "nothing", { offset: 5, length: 5 }),
      undefined,
      "range of nothing",
    );
    await put(store, "directory/key", "x");
    checkEqual(await store.head("directory", {}), undefined, "head of a directory");
    check((await store.get("directory", {})) === undefined, "get of a directory");
    check((await store.get("directory/key/below", {})) === undefined, "get below an object");
  }),
  storeCase("a read that names a version gets that version or store/changed", async (store) => {
    const first = await put(store, "key", "one");
    checkEqual((await read(store, "key", { etag: first.etag }))?.length, 3, "the version is there");
    const content = await store.get("key", {});
    checkEqual(content?.info.etag, first.etag, "etag of the get");
    for await (const _ of content?.body ?? []) break;
    await put(store, "key", "other");
    await checkFails(read(store, "key", { etag: first.etag }), "store/changed");
    await checkFails(
      read(store, "key", { etag: first.etag, offset: 1, length: 1 }),
      "store/changed",
    );
  }),
  storeCase(
    "a read that names the version it has may be spared its bytes, no other",
    async (store) => {
      const { etag } = await put(store, "key", "one");
      const same = must(await store.get("key", { unlessEtag: etag }), "object");
      checkEqual(same.info.etag, etag, "etag of what has not changed");
      const sizeBytes = (await collectBytes(same.body)).length;
      check(sizeBytes === 0 || sizeBytes === 3, `${sizeBytes} bytes of 0 or 3`);
      await put(store, "key", "other");
      const other = must(await store.get("key", { unlessEtag: etag }), "object");
      check(other.info.etag !== etag, "etag of what has changed");
      checkEqual((await collectBytes(other.body)).length, 5, "bytes of what has changed");
    },
  ),
  storeCase("a read can be left after its first chunk, many times over", async (store) => {
    await put(store, "key", noise(4_000_000, 8));
    for (let round = 0; round < 60; round++) {
      const content = await store.get("key", {});
      for await (const chunk of content?.body ?? []) {
        check(chunk.length > 0, "an empty chunk");
        break;
      }
    }
    checkEqual((await read(store, "key"))?.length, 4_000_000, "the last read");
  }),
  storeCase("a read stops when it is aborted, before it and in the middle", async (store) => {
    await put(store, "key", noise(8_000_000, 9));
    const reason = new Error("stopped");
    await checkFailsWith(read(store, "key", { signal: AbortSignal.abort(reason) }), reason);
    await checkFailsWith(store.head("key", { signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const content = await store.get("key", { signal: controller.signal });
    const readSome = async (): Promise<void> => {
      for await (const chunk of content?.body ?? []) if (chunk.length > 0) controller.abort(reason);
    };
    await checkFailsWith(readSome(), reason);
  }),
  storeCase("many objects can be read at the same time, each a little at a time", async (store) => {
    const bytes = noise(1_200_000, 10);
    const keys = Array.from({ length: 40 }, (_, i) => `many/${i}`);
    await mapConcurrent(keys, 8, (key) => put(store, key, bytes));
    const contents = await Promise.all(keys.map((key) => store.get(key, {})));
    const bodies = contents.map((content) => must(content, "object").body[Symbol.asyncIterator]());
    let readBytes = 0;
    const open = new Set(bodies);
    while (open.size > 0) {
      for (const body of open) {
        const step = await body.next();
        if (step.done === true) open.delete(body);
        else readBytes += step.value.length;
      }
    }
    checkEqual(readBytes, keys.length * bytes.length, "bytes read");
  }),
];

const deleteCases: readonly ObjectStoreCase[] = [
  storeCase("deleted objects are gone, absent ones are no error", async (store) => {
    await put(store, "a", "1");
    await put(store, "b/c", "2");
    await store.delete([], {});
    await store.delete(["a", "nothing", "b/nothing", "a/below"], {});
    await store.delete(["a"], {});
    await checkAbsent(store, "a");
    await checkContent(store, "b/c", "2");
    await store.delete(["b"], {});
    await checkContent(store, "b/c", "2");
  }),
  storeCase("an aborted delete does nothing", async (store) => {
    await put(store, "a", "1");
    const reason = new Error("stopped");
    await checkFailsWith(store.delete(["a"], { signal: AbortSignal.abort(reason) }), reason);
    await checkContent(store, "a", "1");
  }),
  storeCase("unusual keys are kept as they are", async (store) => {
    const keys = [
      "with space",
      "plus+and%20percent",
      "quote\"'<&>",
      "q?x=1#y",
      "a,b;c=d:e@f",
      "tab\tnew\nline",
      "ünï/çødé",
      "日本語",
      "~",
      "-",
      "dot.",
      ".hidden",
      "a\\b",
      "%",
      "*",
      "(x)!",
      "UPPER/lower",
    ];
    for (const key of keys) await put(store, `odd/${key}`, key);
    for (const key of keys) await checkContent(store, `odd/${key}`, key);
    checkEqual(
      await keysOf(store, { prefix: "odd/" }),
      keys.map((key) => `odd/${key}`).sort(),
      "listing",
    );
    await store.delete(
      keys.map((key) => `odd/${key}`),
      {},
    );
    checkEqual(await keysOf(store, { prefix: "" }), [], "after the delete");
  }),
];

const copyCases: readonly ObjectStoreCase[] = [
  storeCase(
    "a copy has the bytes and the time of its source, and replaces what was there",
    async (store) => {
      if (!(await store.features({})).copy) return;
      const bytes = noise(300_000, 11);
      await put(store, "from", bytes, { timestampMs: 1_700_000_000_123 });
      await put(store, "dir/to", "old");
      const info = await store.copy("from", "dir/to", {});
      checkEqual([info?.key, info?.sizeBytes], ["dir/to", bytes.length], "info of the copy");
      checkEqual(
        (await store.head("dir/to", {}))?.timestampMs,
        1_700_000_000_123,
        "time of the copy",
      );
      checkEqual((await store.head("dir/to", {}))?.etag, info?.etag, "etag of the copy");
      await checkContent(store, "dir/to", bytes);
      await put(store, "from", "changed");
      await checkContent(store, "dir/to", bytes);
      await store.delete(["from"], {});
      await checkContent(store, "dir/to", bytes);
      checkEqual(await keysOf(store, { prefix: "" }), ["dir/to"], "keys in the end");
    },
  ),
  storeCase("a copy of nothing is undefined, a copy onto itself changes nothing", async (store) => {
    if (!(await store.features({})).copy) return;
    check((await store.copy("nothing", "to", {})) === undefined, "copy of nothing");
    await checkAbsent(store, "to");
    await put(store, "key", "x");
    await store.copy("key", "key", {});
    await checkContent(store, "key", "x");
    checkEqual(await keysOf(store, { prefix: "" }), ["key"], "keys in the end");
  }),
];

const versionedCopyCase = storeCase(
  "a copy of a version that is gone copies nothing",
  async (store) => {
    if (!(await store.features({})).copy) return;
    const { etag } = await put(store, "from", "first");
    check((await store.copy("from", "to", { etag }))?.key === "to", "copy of the version there is");
    await put(store, "from", "second, and longer");
    await checkFails(store.copy("from", "to", { etag }), "store/changed");
    await checkFails(store.copy("from", "from", { etag }), "store/changed");
    await checkContent(store, "to", "first");
    await checkContent(store, "from", "second, and longer");
    checkEqual(await keysOf(store, { prefix: "" }), ["from", "to"], "keys in the end");
  },
);

export const readCases: readonly ObjectStoreCase[] = [
  ...getCases,
  ...deleteCases,
  ...copyCases,
  versionedCopyCase,
];
