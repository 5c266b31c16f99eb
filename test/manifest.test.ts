// The manifest while an application writes: it names what is there, whatever levels and retention do, and whatever happens to
// it keeps no upload waiting.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { collectBytes } from "../src/core/base/bytes.ts";
import { openCodec } from "../src/core/codec/codec.ts";
import type { ReplicaFile } from "../src/core/replica/catalog.ts";
import { readFileFacts } from "../src/core/replica/file-facts.ts";
import { type Manifest, manifestKey } from "../src/core/replica/manifest.ts";
import { ManifestReader } from "../src/core/replica/manifest-reader.ts";
import type { ObjectStore } from "../src/core/store/object-store.ts";
import { decodeHotPages } from "../src/core/view/hot-pages.ts";
import { openReplica } from "../src/index.ts";
import { openReplicaStore } from "../src/node/restore/environment.ts";
import { restore } from "../src/node/restore/restore.ts";
import type { EngineChildOptions } from "./support/engine.ts";
import {
  engineReady,
  engineStatus,
  eventsOf,
  loggedEvent,
  stopEngine,
  syncEngine,
} from "./support/engine.ts";
import { replicaFiles } from "./support/history-check.ts";
import { startHttpServer } from "./support/http-server.ts";
import { sha256OfFile } from "./support/live-image.ts";
import { Scene } from "./support/scene.ts";
import { until } from "./support/until.ts";

const writing: Partial<EngineChildOptions> = { manifest: true, syncIntervalMs: 20 };

const fast: Partial<EngineChildOptions> = {
  ...writing,
  levels: [100, 300, 900],
  snapshotIntervalMs: 1_500,
  snapshotRetentionMs: 1_000,
  l0RetentionMs: 200,
  retentionGraceMs: 1_000,
};

const keysOf = (files: readonly Pick<ReplicaFile, "key">[]): readonly string[] =>
  files.map(({ key }) => key).toSorted();

/** What lies in the replica now; `undefined` while there is none, or one that cannot be used. */
async function manifestIn(store: ObjectStore): Promise<Manifest | undefined> {
  return new ManifestReader(store).read({}).catch(() => undefined);
}

async function untilItNames(store: ObjectStore, txid: string): Promise<Manifest> {
  let found: Manifest | undefined;
  await until(async () => {
    found = await manifestIn(store);
    return found?.txid === BigInt(`0x${txid}`);
  });
  if (found === undefined) throw new Error("there is no manifest");
  return found;
}

test("after each upload it names every file, with what stands inside", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...writing, levels: [], printCalls: true });
  await engineReady(engine);
  await using store = await openReplicaStore(scene.replica);
  for (let round = 0; round < 3; round++) {
    await scene.app.ledger(1);
    const { files, txid, commit, pageSize } = await untilItNames(store, await syncEngine(engine));
    expect(keysOf(files)).toEqual(keysOf(await replicaFiles(scene.replica)));
    const newest = files.find(({ maxTxid }) => maxTxid === txid);
    expect(commit).toBe(newest?.inside?.commit);
    for (const file of files) {
      const facts = await readFileFacts(store, file, {});
      expect(facts).toMatchObject({ ...file.inside, pageSize, timestampMs: file.timestampMs });
    }
  }
  // It was seen as it passed.
  const reads = engine.lines.filter((line) => /^store \d+ get .*ltx$/u.test(line));
  expect(reads).toEqual([]);
  expect(await stopEngine(engine)).toBe(0);
});

test("whatever is merged and deleted, it names only what is there", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...fast, pageChecksums: true });
  await engineReady(engine);
  await using store = await openReplicaStore(scene.replica);
  const seen = { manifests: 0, checksums: 0 };
  let last = "";
  await until(async () => {
    await scene.app.ledger(2);
    last = await syncEngine(engine);
    const manifest = await manifestIn(store);
    for (const { key, sizeBytes, checksumKey } of manifest?.files ?? []) {
      const { sizeBytes: found } = (await store.head(key, {})) ?? {};
      expect({ key, sizeBytes: found }).toEqual({ key, sizeBytes });
      if (checksumKey !== undefined) seen.checksums++;
    }
    seen.manifests++;
    const { levels } = await engineStatus(engine);
    return levels.snapshots >= 2 && levels.deletedFiles >= 20 && seen.checksums > 0;
  }, 120_000);
  await untilItNames(store, last);
  await using server = await startHttpServer(store, { etagOf: (etag) => `x-${etag}` });
  const output = scene.directory.file("http.db");
  await restore({ replica: server.url, output });
  expect(await sha256OfFile(output)).toBe(await sha256OfFile(await scene.restored()));
  expect(eventsOf(engine)).not.toContain("manifest.failed");
  expect(await stopEngine(engine)).toBe(0);
});

test("an engine that was killed before it was written leaves it to the next", async () => {
  await using scene = await Scene.open();
  await using store = await openReplicaStore(scene.replica);
  const first = scene.engine(writing);
  await engineReady(first);
  await untilItNames(store, await syncEngine(first));
  const stale = readFileSync(join(scene.replicaPath, manifestKey));
  await scene.app.ledger(3);
  const txid = await syncEngine(first);
  await untilItNames(store, txid);
  await first.end("SIGKILL");
  writeFileSync(join(scene.replicaPath, manifestKey), stale);
  const second = scene.engine(writing);
  await engineReady(second);
  await untilItNames(store, txid);
  expect(await stopEngine(second)).toBe(0);
});

test("deleted, torn or written by another, it is whole again with the next upload", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine(writing);
  await engineReady(engine);
  await using store = await openReplicaStore(scene.replica);
  const path = join(scene.replicaPath, manifestKey);
  await untilItNames(store, await syncEngine(engine));
  for (const harm of [
    () => rmSync(path),
    () => writeFileSync(path, readFileSync(path).subarray(0, 100)),
    () => writeFileSync(path, "{}"),
  ]) {
    harm();
    await scene.app.ledger(1);
    await untilItNames(store, await syncEngine(engine));
  }
  expect(await stopEngine(engine)).toBe(0);
});

test("one that cannot be written delays nothing, is told, and is made good", async () => {
  await using scene = await Scene.open();
  const path = join(scene.replicaPath, manifestKey);
  mkdirSync(join(path, "in the way"), { recursive: true });
  const engine = scene.engine({ ...writing, clockSpeed: 20 });
  await engineReady(engine);
  await loggedEvent(engine, "manifest.failed");
  await scene.app.ledger(1);
  const txid = await syncEngine(engine);
  const [replica] = (await engineStatus(engine)).replicas;
  expect(replica).toMatchObject({ state: "replicating" });
  expect(replica).not.toHaveProperty("lastError");
  expect(replica?.manifest?.lastError).toContain(manifestKey);
  await scene.prove();
  rmSync(path, { recursive: true });
  await using store = await openReplicaStore(scene.replica);
  await untilItNames(store, txid);
  await until(async () => {
    const [status] = (await engineStatus(engine)).replicas;
    return status?.manifest?.failingSinceMs === undefined;
  });
  expect(await stopEngine(engine)).toBe(0);
});

test("another program's object of that name is left alone", async () => {
  await using scene = await Scene.open();
  const path = join(scene.replicaPath, manifestKey);
  mkdirSync(scene.replicaPath);
  writeFileSync(path, '{"name":"a web application"}');
  const engine = scene.engine(writing);
  await engineReady(engine);
  const fields = await loggedEvent(engine, "manifest.failed");
  expect(fields["error"]).toContain("not a manifest of Headwater");
  await scene.app.ledger(1);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  expect(readFileSync(path, "utf8")).toBe('{"name":"a web application"}');
});

test("what is stopped at once has written it, and a database at rest writes nothing", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine(writing);
  await engineReady(engine);
  await scene.app.ledger(5);
  expect(await stopEngine(engine)).toBe(0);
  await using store = await openReplicaStore(scene.replica);
  const manifest = await manifestIn(store);
  expect(keysOf(manifest?.files ?? [])).toEqual(keysOf(await replicaFiles(scene.replica)));
  const path = join(scene.replicaPath, manifestKey);
  const { mtimeMs } = statSync(path);
  const again = scene.engine(writing);
  await engineReady(again);
  expect(await stopEngine(again)).toBe(0);
  expect(statSync(path).mtimeMs).toBe(mtimeMs);
});

test("a single pass writes it", async () => {
  await using scene = await Scene.open();
  const engine = scene.engine({ ...writing, once: true });
  await engineReady(engine);
  await syncEngine(engine);
  expect(await stopEngine(engine)).toBe(0);
  await using store = await openReplicaStore(scene.replica);
  const manifest = await manifestIn(store);
  expect(keysOf(manifest?.files ?? [])).toEqual(keysOf(await replicaFiles(scene.replica)));
});

test("hot pages are made, named, and are the frames of the files that are there", async () => {
  await using scene = await Scene.open();
  await scene.app.exec(
    "CREATE TABLE wide (id INTEGER PRIMARY KEY, x BLOB); WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n " +
      "WHERE i < 4000) INSERT INTO wide (x) SELECT randomblob(400) FROM n",
  );
  const engine = scene.engine({ ...writing, levels: [200, 400], snapshotIntervalMs: 400 });
  await engineReady(engine);
  await scene.app.ledger(1);
  await syncEngine(engine);
  await using store = await openReplicaStore(scene.replica);
  let manifest: Manifest | undefined;
  await until(async () => {
    manifest = await manifestIn(store);
    return manifest?.hot !== undefined;
  });
  expect(await stopEngine(engine)).toBe(0);
  manifest = await manifestIn(store);
  const content = await store.get(manifest?.hot?.key ?? "", {});
  const bytes = content && (await collectBytes(content.body));
  expect(bytes).toHaveLength(manifest?.hot?.sizeBytes ?? 0);
  const hot = bytes && decodeHotPages(openCodec(), bytes);
  expect(hot?.frames.length).toBeGreaterThan(1);
  for (const { key, etag, offset, bytes: frame } of hot?.frames ?? []) {
    const file = await store.get(key, { offset, length: frame.length, etag });
    expect(file && (await collectBytes(file.body))).toEqual(Uint8Array.from(frame));
  }
  await using server = await startHttpServer(store, { etagOf: (etag) => `x-${etag}` });
  await using db = await openReplica(server.url);
  expect(await Array.fromAsync(db.query("SELECT count(*) AS n FROM wide"))).toEqual([{ n: 4000 }]);
});
