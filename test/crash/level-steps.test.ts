// Compaction, retention and repair of a replica in a directory, stopped at each of their changes to the file system: the next
// pass makes the same of it as an undisturbed one, and in between nothing is lost.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { must } from "../../src/core/base/assert.ts";
import type { FileSystem } from "../../src/core/base/file-system.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import { type ReplicaFile, listReplica } from "../../src/core/replica/catalog.ts";
import { compact } from "../../src/core/replica/compact.ts";
import { planCompaction } from "../../src/core/replica/plan-compaction.ts";
import { litestreamLayout as layout } from "../../src/core/replica/layout.ts";
import { applyRetention } from "../../src/core/replica/prune.ts";
import { inspectFile, planFill, planRebuild } from "../../src/core/replica/repair.ts";
import { planRetention } from "../../src/core/replica/retention.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import { createSeededRandom } from "../../src/core/testing/seeded-random.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";
import { restore } from "../../src/node/restore/restore.ts";
import { verify } from "../../src/node/restore/verify.ts";
import { createFileStore } from "../../src/node/store/file-store.ts";
import { CrashError, crashingFileSystem } from "../support/faulty-file-system.ts";
import { type FileRange, ltxPath, sampleHistory, writeLtx } from "../support/replica-builder.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const history = sampleHistory();
const codec = openCodec();
const hourMs = 3_600_000;
const policy = { snapshotRetentionMs: hourMs, l0RetentionMs: 1, graceMs: 1 };

function storeAt(root: string, fileSystem: FileSystem): ObjectStore {
  return createFileStore({ root, fileSystem, clock: systemClock, random: createSeededRandom(1) });
}

async function filesOf(store: ObjectStore): Promise<readonly ReplicaFile[]> {
  return listReplica(store, layout, {});
}

/** Level 1 up to the head, then retention: what the engine does in turn. */
async function pass(store: ObjectStore): Promise<void> {
  for (;;) {
    const files = await filesOf(store);
    const plan = planFill(files, 1) ?? planCompaction(files, { level: 1 });
    if (plan === undefined) break;
    await compact(plan, { store, layout, codec });
  }
  const plan = planRetention(await filesOf(store), policy, Date.now());
  await applyRetention(plan, { store, layout, codec });
}

/** Makes the damaged file of level 1 anew, or the one that is missing since somebody began to. */
async function mend(store: ObjectStore): Promise<void> {
  const files = await filesOf(store);
  for (const file of files.filter(({ level }) => level === 1)) {
    if ((await inspectFile(file, { store, codec })) === "sound") continue;
    const [plan] = must(planRebuild(files, file), "a way to make it anew");
    await compact(must(plan, "a plan"), { store, layout, codec, replaces: file.etag });
  }
  const fill = planFill(await filesOf(store), 1);
  if (fill !== undefined) await compact(fill, { store, layout, codec });
}

/** A full image, nine files of level 0, and level 1 for the first three of them; all hours old. */
async function prepare(root: string, more: readonly FileRange[] = []): Promise<void> {
  const ranges = [
    { level: 9, min: 1, max: 1 },
    ...Array.from({ length: 9 }, (_, n) => ({ level: 0, min: n + 2, max: n + 2 })),
    { level: 1, min: 2, max: 4 },
    ...more,
  ];
  await history.writeFiles(root, ranges);
  for (const range of ranges) {
    const time = new Date(Date.now() - (20 - range.max) * hourMs);
    utimesSync(ltxPath(root, range), time, time);
  }
}

async function prepareDamage(root: string): Promise<void> {
  await prepare(root, [{ level: 1, min: 5, max: 10 }]);
  const range = { level: 1, min: 2, max: 4 };
  const bytes = readFileSync(ltxPath(root, range));
  bytes[400] = (bytes[400] ?? 0) ^ 1;
  writeLtx(root, range, bytes);
}

/** Names and contents, without what a writer that still lives, as this process does, may be writing. */
function contentsOf(root: string): ReadonlyMap<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return new Map(
    entries
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".tmp"))
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted()
      .map((path) => [path.slice(root.length), hashOf(readFileSync(path))]),
  );
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

test.each([
  ["compaction and retention", (root: string) => prepare(root), pass],
  ["the repair of a damaged file", prepareDamage, mend],
] as const)("%s, stopped at each change, and done again", async (_name, make, work) => {
  using undisturbed = temporaryDirectory();
  await make(undisturbed.path);
  await work(storeAt(undisturbed.path, nodeFileSystem));
  const expected = contentsOf(undisturbed.path);
  let stops = 0;
  for (let isDone = false; !isDone;) {
    using directory = temporaryDirectory();
    const root = directory.file("replica");
    await make(root);
    const stopAt = stops + 1;
    const fileSystem = crashingFileSystem(nodeFileSystem, stopAt);
    const failure = await work(storeAt(root, fileSystem)).then(
      () => undefined,
      (error: unknown) => error,
    );
    isDone = fileSystem.changes < stopAt;
    if (isDone) expect(failure).toBeUndefined();
    else stops++;
    // What is tidied up at the end may be left undone.
    if (failure !== undefined) {
      const cause = failure instanceof Error ? (failure.cause ?? failure) : failure;
      expect(cause).toBeInstanceOf(CrashError);
      // Whatever there is now: the newest state can be restored from what is sound.
      const output = directory.file("restored.db");
      const url = directory.url("replica");
      const restored = await restore({ replica: url, output }).catch(() => undefined);
      if (work === pass) expect(restored).toMatchObject({ txid: 10n, proof: "proved" });
    }
    await work(storeAt(root, nodeFileSystem));
    expect(contentsOf(root)).toEqual(expected);
    const { result, holes, repairs } = await verify({ replica: directory.url("replica") });
    expect({ holes, repairs }).toEqual({ holes: [], repairs: [] });
    expect(result).not.toBe("failed");
  }
  expect(stops).toBeGreaterThan(5);
});

test("a store that deletes some of a batch and fails: it is said, and the next pass goes on", async () => {
  using directory = temporaryDirectory();
  const root = directory.file("replica");
  await prepare(root);
  const real = storeAt(root, nodeFileSystem);
  let deletes = 0;
  const failing: ObjectStore = {
    url: real.url,
    features: (waiting) => real.features(waiting),
    put: (key, body, options) => real.put(key, body, options),
    get: (key, options) => real.get(key, options),
    head: (key, options) => real.head(key, options),
    list: (options) => real.list(options),
    copy: (from, to, options) => real.copy(from, to, options),
    delete: async (keys, options) => {
      deletes++;
      await real.delete(keys.slice(0, 2), options);
      throw new Error(`${keys[2]} could not be deleted: AccessDenied`);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  await expect(pass(failing)).rejects.toThrow(/could not be deleted: AccessDenied/u);
  expect(deletes).toBe(1);
  expect((await verify({ replica: directory.url("replica") })).holes).toEqual([]);
  await pass(real);
  const level0 = (await filesOf(real)).filter(({ level }) => level === 0);
  expect(level0.map(({ maxTxid }) => maxTxid)).toEqual([10n]);
});
