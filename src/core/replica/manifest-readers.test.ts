// What a manifest that somebody else has written keeps from being deleted.
import { expect, test } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { toTxid } from "../ltx/txid.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { bodyOf } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { type Manifest, encodeManifest, manifestKey } from "./manifest.ts";
import { heldByReaders, readPublishedManifest } from "./manifest-readers.ts";

const minuteMs = 60_000;
const writtenAtMs = 1_000 * minuteMs;

const file = (n: number): ReplicaFile => replicaFile(0, n, n);
const [named, justLeft, leftBefore, unknown] = [file(1), file(2), file(3), file(4)];

const whole: Manifest = {
  txid: toTxid(4),
  timestampMs: 4_000,
  pageSize: 4096,
  commit: 9,
  files: [named],
  withdrawn: [{ key: justLeft.key }, { key: leftBefore.key, sinceMs: writtenAtMs - 3 * minuteMs }],
};

/** What readers may ask for so many minutes after the manifest, or what stands in its place, was put. */
async function heldAfter(
  minutes: number,
  text: string | Uint8Array<ArrayBuffer>,
): Promise<readonly ReplicaFile[]> {
  const clock = { nowMs: () => writtenAtMs, monotonicMs: () => 0, sleep: async () => undefined };
  const store = createMemoryStore({ clock });
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  await store.put(manifestKey, bodyOf(bytes), {});
  const published = await readPublishedManifest(store, {});
  const nowMs = writtenAtMs + minutes * minuteMs;
  const isHeld = heldByReaders(published, { graceMs: 5 * minuteMs, nowMs });
  return [named, justLeft, leftBefore, unknown].filter(isHeld);
}

test("what it names is held for as long as it does, what it has left out for the grace period", async () => {
  const bytes = encodeManifest(whole);
  expect(await heldAfter(1, bytes)).toEqual([named, justLeft, leftBefore, unknown]);
  expect(await heldAfter(2, bytes)).toEqual([named, justLeft, unknown]);
  expect(await heldAfter(4.9, bytes)).toEqual([named, justLeft, unknown]);
  expect(await heldAfter(5, bytes)).toEqual([named]);
  expect(await heldAfter(50_000, bytes)).toEqual([named]);
});

test("one that is damaged holds what the one before it may have named", async () => {
  const torn = encodeManifest(whole).slice(0, 100);
  expect(await heldAfter(4.9, torn)).toHaveLength(4);
  expect(await heldAfter(5, torn)).toEqual([]);
});

test("without one, or with another program's in its place, nothing is held", async () => {
  expect(await heldAfter(0, '{"name":"a web application"}')).toEqual([]);
  const isHeld = heldByReaders(undefined, { graceMs: minuteMs, nowMs: 0 });
  expect(isHeld(named)).toBe(false);
});

test("one of a version to come is not guessed at", async () => {
  const later = '{"format":"headwater-manifest","version":2}';
  await expect(heldAfter(0, later)).rejects.toMatchObject({ code: "replica/manifest" });
});
