import { expect, test } from "vitest";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { createMemoryStore } from "./memory-store.ts";
import { createMeteredStore } from "./metered-store.ts";
import { bodyOf } from "./object-store.ts";
import type { ObjectStore } from "./object-store.ts";

function metered({ partSizeBytes = Number.POSITIVE_INFINITY } = {}): {
  readonly store: ObjectStore;
  readonly counted: string[];
} {
  const counted: string[] = [];
  const count = (kind: string, requests: number): Promise<void> => {
    counted.push(`${requests} ${kind}`);
    return Promise.resolve();
  };
  const inner = createMemoryStore({ clock: new VirtualClock() });
  return { store: createMeteredStore(inner, { count, partSizeBytes }), counted };
}

async function keysOf(store: ObjectStore): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list({ prefix: "" })) keys.push(key);
  return keys;
}

test("each request counts once, as stores charge for it", async () => {
  const { store, counted } = metered();
  await store.put("a", bodyOf(new Uint8Array(3)), { condition: "absent" });
  await store.get("a", {});
  await store.head("a", {});
  await store.copy("a", "b", {});
  expect(await keysOf(store)).toEqual(["a", "b"]);
  await store.delete(["a", "b"], {});
  expect(counted).toEqual(["1 put", "1 get", "1 get", "1 put", "1 list", "1 delete"]);
});

test("a put that fails was a request", async () => {
  const { store, counted } = metered();
  const put = (): Promise<unknown> =>
    store.put("a", bodyOf(new Uint8Array(3)), { condition: "absent" });
  await put();
  await expect(put()).rejects.toMatchObject({ code: "store/exists" });
  expect(counted).toEqual(["1 put", "1 put"]);
});

test("an object that goes up in parts is as many requests, a beginning and an end", async () => {
  const { store, counted } = metered({ partSizeBytes: 10 });
  const body = { ...bodyOf(new Uint8Array(25)), sizeBytes: undefined };
  await store.put("a", body, { condition: "absent" });
  expect(counted).toEqual(["1 put", "4 put"]);
  await store.put("b", bodyOf(new Uint8Array(25)), { condition: "absent" });
  await store.put("c", { ...bodyOf(new Uint8Array(10)), sizeBytes: undefined }, {});
  expect(counted.slice(2)).toEqual(["1 put", "1 put"]);
});

test("a long list is a request for each thousand", async () => {
  const { store, counted } = metered();
  for (let index = 0; index < 2_000; index++)
    await store.put(`k${index}`, bodyOf(new Uint8Array(1)), {});
  counted.length = 0;
  await keysOf(store);
  expect(counted).toEqual(["1 list", "1 list"]);
});
