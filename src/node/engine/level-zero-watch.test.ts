import { expect, test } from "vitest";
import { toTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { litestreamLayout } from "../../core/replica/layout.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { LevelZeroWatch } from "./level-zero-watch.ts";

const { signal } = new AbortController();

function fileOf(min: number, max = min): ReplicaFile {
  const name = { level: 0, minTxid: toTxid(min), maxTxid: toTxid(max) };
  const listed = { sizeBytes: 1, timestampMs: 1, isExactTime: true, etag: "e" };
  return { ...name, ...listed, key: litestreamLayout.key(name) };
}

function watchOf(files: ReplicaFile[]): {
  watch: LevelZeroWatch;
  clock: VirtualClock;
  readonly lists: number;
} {
  const clock = new VirtualClock();
  let lists = 0;
  const list = async (): Promise<readonly ReplicaFile[]> => {
    lists++;
    return files;
  };
  return {
    watch: new LevelZeroWatch({ clock, list }),
    clock,
    get lists() {
      return lists;
    },
  };
}

const ask = (through: number, except = "") => ({ through: BigInt(through), except, signal });

test("a file that ends later is somebody else's, unless it is the one that is to be put", async () => {
  const { watch } = watchOf([fileOf(1), fileOf(2, 4)]);
  expect(await watch.hasLater(ask(4))).toBe(false);
  expect(await watch.hasLater(ask(1))).toBe(true);
  expect(await watch.hasLater(ask(1, fileOf(2, 4).key))).toBe(false);
  expect(await watch.hasStrangers(ask(1, fileOf(2, 4).key))).toBe(false);
});

test("is listed no more than once a minute, and then shows what others have put in between", async () => {
  const files = [fileOf(1)];
  const stage = watchOf(files);
  const { watch, clock } = stage;
  expect(await watch.hasStrangers(ask(1))).toBe(false);
  // We go on in steps of ten; another writer has begun at the same head.
  files.push(fileOf(2, 10), fileOf(11));
  for (const file of files.slice(1)) watch.notePut(file.key);
  await clock.advance(59_000);
  expect(await watch.hasStrangers(ask(11))).toBe(false);
  expect(stage.lists).toBe(1);
  await clock.advance(1_000);
  expect(await watch.hasStrangers(ask(11))).toBe(false);
  expect(stage.lists).toBe(2);
  files.push(fileOf(12, 20), fileOf(12));
  watch.notePut(fileOf(12, 20).key);
  await clock.advance(60_000);
  expect(await watch.hasStrangers(ask(20))).toBe(true);
});

test("trusts nothing once the replica may be another", async () => {
  const stage = watchOf([fileOf(1)]);
  await stage.watch.hasStrangers(ask(1));
  stage.watch.forget();
  await stage.watch.hasStrangers(ask(1));
  expect(stage.lists).toBe(2);
});
