// How often a follower asks, and for what: what docs/guides/follow.md says it costs.
import { expect, it } from "vitest";
import { toTxid } from "../../core/ltx/txid.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { createMemoryStore } from "../../core/store/memory-store.ts";
import { type ObjectStore, bodyOf } from "../../core/store/object-store.ts";
import { createFaultyStore } from "../../core/testing/faulty-store.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { type FollowedPoint, NewFiles } from "./new-files.ts";

interface Stage {
  readonly clock: VirtualClock;
  readonly store: ObjectStore;
  readonly newFiles: NewFiles;
  readonly calls: Record<string, number>;
  readonly put: (txid: number) => Promise<void>;
  readonly at: (txid: number) => Promise<FollowedPoint>;
}

function keyOf(txid: number): string {
  return litestreamLayout.key({ level: 0, minTxid: toTxid(txid), maxTxid: toTxid(txid) });
}

function open(): Stage {
  const clock = new VirtualClock();
  const memory = createMemoryStore({ clock });
  const calls: Record<string, number> = {};
  const store = createFaultyStore(memory, {
    clock,
    plan: ({ operation }) => {
      calls[operation] = (calls[operation] ?? 0) + 1;
      return undefined;
    },
  });
  return {
    clock,
    store,
    calls,
    newFiles: new NewFiles(store, { clock, intervalMs: 1000 }),
    put: async (txid) => void (await memory.put(keyOf(txid), bodyOf(Uint8Array.of(txid)), {})),
    at: async (txid) => {
      const key = keyOf(txid);
      const etag = (await memory.head(key, {}))?.etag ?? "";
      const place = { txid: toTxid(txid), timestampMs: txid, file: { key, etag } };
      return { ...place, imageTxid: toTxid(1), isProved: true, databaseChecksum: 1n };
    },
  };
}

it("asks for the next file by name, and lists now and then, while there is nothing new", async () => {
  const { clock, newFiles, calls, put, at } = open();
  await put(1);
  const point = await at(1);
  const looks = 3600 / 10;
  for (let look = 0; look < looks; look++) {
    expect(await newFiles.look(point, {})).toEqual({ kind: "nothing" });
    await clock.advance(10_000);
  }
  const all = 3600 / 900;
  expect(calls).toEqual({ head: looks - all, list: 3600 / 60 });
});

it("takes files by name as they come, and lists once there are several", async () => {
  const { newFiles, calls, put, at } = open();
  await put(1);
  await newFiles.look(await at(1), {});
  const before = { ...calls };
  await put(2);
  expect(await newFiles.look(await at(1), {})).toMatchObject({ kind: "files", isListed: false });
  expect(await newFiles.look(await at(2), {})).toEqual({ kind: "nothing" });
  expect(calls).toEqual({ ...before, head: 2 });
  for (const txid of [3, 4, 5, 6, 7]) await put(txid);
  const counts: number[] = [];
  for (let txid = 2; txid < 7;) {
    const found = await newFiles.look(await at(txid), {});
    const files = found.kind === "files" ? found.files : [];
    counts.push(files.length);
    txid += files.length;
  }
  expect(counts).toEqual([1, 1, 3]);
});

it("keeps saying that it is stuck, without listing all levels each time", async () => {
  const { clock, newFiles, calls, put, at } = open();
  await put(1);
  await put(3);
  const point = await at(1);
  for (let look = 0; look < 5; look++) {
    expect(await newFiles.look(point, {})).toEqual({ kind: "stuck", head: 3n });
    await clock.advance(1000);
  }
  expect(calls["list"]).toBe(1);
  await put(2);
  expect(await newFiles.look(point, {})).toMatchObject({ kind: "files" });
});
