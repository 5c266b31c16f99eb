import { expect, it } from "vitest";
import { createMemoryStore } from "../store/memory-store.ts";
import { type ListOptions, type ObjectStore, bodyOf } from "../store/object-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { litestreamLayout, litestreamS3Layout } from "./layout.ts";
import { listReplicaPaths } from "./replica-paths.ts";

const file = "0000000000000001-0000000000000001.ltx";

async function storeOf(
  keys: readonly string[],
): Promise<{ store: ObjectStore; lists: () => number }> {
  const memory = createMemoryStore({ clock: new VirtualClock() });
  for (const key of keys) await memory.put(key, bodyOf(new Uint8Array(1)), {});
  let lists = 0;
  const list = (options: ListOptions): ReturnType<ObjectStore["list"]> => {
    lists++;
    return memory.list(options);
  };
  return { store: { ...memory, list }, lists: () => lists };
}

it("finds every replica below a URL, whatever lies between them", async () => {
  const { store } = await storeOf([
    `a.db/ltx/0/${file}`,
    `a.db/ltx/9/${file}`,
    "a.db-notes/readme.txt",
    `deep/er/b.db/ltx/1/${file}`,
    `ltx/0/${file}`,
    `old.db/generations/0123456789abcdef/snapshots/00000000.snapshot.lz4`,
    `old.db/ltx/9/${file}`,
    "older.db/generations/0123456789abcdef/wal/00000000_00000000.wal.lz4",
    `z/ltx/0/half-a-name.ltx`,
  ]);
  expect(await listReplicaPaths(store, litestreamLayout, {})).toEqual([
    "a.db",
    "deep/er/b.db",
    "old.db",
    "older.db",
  ]);
});

it("knows the layout of S3, and a database whose directory is another's name", async () => {
  const { store } = await storeOf([
    `a/0000/${file}`,
    `a/0009/${file}`,
    `a/b.db/0001/${file}`,
    `a.db/0000/${file}`,
  ]);
  expect(await listReplicaPaths(store, litestreamS3Layout, {})).toEqual(["a.db", "a", "a/b.db"]);
});

it("does not look at every file of a replica", async () => {
  const many = Array.from({ length: 500 }, (_, n) => {
    const txid = (n + 1).toString(16).padStart(16, "0");
    return `a.db/ltx/0/${txid}-${txid}.ltx`;
  });
  const { store, lists } = await storeOf([...many, `b.db/ltx/0/${file}`]);
  expect(await listReplicaPaths(store, litestreamLayout, {})).toEqual(["a.db", "b.db"]);
  expect(lists()).toBe(3);
});
