// However many inputs a compaction has, what is in memory of all of them is bounded.
import { expect, it } from "vitest";
import { toTxid } from "../ltx/txid.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { type ReadOptions, bodyOf } from "../store/object-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import type { ReplicaFile } from "./catalog.ts";
import { mergeInputs } from "./compaction-input.ts";
import { litestreamLayout as layout } from "./layout.ts";

/** `count` files of 2 MB. */
function files(count: number): readonly ReplicaFile[] {
  return Array.from({ length: count }, (_, i) => {
    const range = { level: 0, minTxid: toTxid(i + 1), maxTxid: toTxid(i + 1) };
    const key = layout.key(range);
    return { ...range, key, sizeBytes: 2e6, timestampMs: 0, isExactTime: true, etag: key };
  });
}

it.each([1, 2, 9, 100, 256])("%i inputs share what is read at once", async (count) => {
  await using store = createMemoryStore({ clock: new VirtualClock() });
  const inputs = files(count);
  const some = new Uint8Array(2e6);
  for (const { key } of inputs.slice(1)) await store.put(key, bodyOf(some), {});
  let asked: ReadOptions = {};
  const localBody = (file: ReplicaFile): ReturnType<typeof bodyOf> | undefined =>
    file === inputs[0]
      ? {
          sizeBytes: some.length,
          open: (options) => {
            asked = options;
            return bodyOf(some).open(options);
          },
        }
      : undefined;
  let atOnce = 0;
  for (const [i, { chunks }] of mergeInputs(inputs, { store, localBody }, {}).entries()) {
    for await (const chunk of chunks) {
      atOnce += i === 0 ? (asked.chunkBytes ?? Infinity) : chunk.length;
      break;
    }
  }
  expect(atOnce).toBeGreaterThan(100_000);
  expect(atOnce).toBeLessThanOrEqual(8 * 1024 * 1024);
});
