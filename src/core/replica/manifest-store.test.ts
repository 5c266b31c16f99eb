// Replicas behind a server that cannot list: what the manifest says, and what becomes of it when it is behind.
import { expect, test } from "vitest";
import {
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
} from "../../../test/support/http-server.ts";
import { putManifest } from "../../../test/support/manifest.ts";
import { MemoryReads } from "../../../test/support/memory-reads.ts";
import { ViewReplica, keyOf, putSmall } from "../../../test/support/view-replica.ts";
import { collectBytes } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import { createHttpStore } from "../store/http-store.ts";
import { type ObjectStore, bodyOf } from "../store/object-store.ts";
import { listLevel, listReplica } from "./catalog.ts";
import { litestreamLayout, litestreamS3Layout } from "./layout.ts";
import { manifestKey } from "./manifest.ts";
import { createBlockingManifestStore, createManifestStore } from "./manifest-store.ts";

const first = { level: 9, min: 1, max: 1 };
const second = { level: 0, min: 2, max: 2 };
const third = { level: 0, min: 3, max: 3 };

interface Scene extends AsyncDisposable {
  readonly replica: ViewReplica;
  readonly server: HttpServer;
  readonly store: ObjectStore;
}

/** A replica of two TXIDs with its manifest, behind a server whose versions are its own. */
async function openScene(options: HttpServerOptions = {}): Promise<Scene> {
  const replica = new ViewReplica();
  await putSmall(replica, first, [1, 2, 3]);
  await putSmall(replica, second, [1, 2]);
  await putManifest(replica.inner);
  const server = await startHttpServer(replica.inner, {
    etagOf: (etag) => `x-${etag}`,
    ...options,
  });
  const http = createHttpStore({ url: server.url, fetch, revalidation: "header" });
  const store = createManifestStore(http);
  return { replica, server, store, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const list = (store: ObjectStore): Promise<readonly string[]> =>
  listReplica(store, litestreamLayout, {}).then((files) => files.map(({ key }) => key));

async function read(store: ObjectStore, key: string): Promise<Uint8Array | undefined> {
  const content = await store.get(key, {});
  return content && collectBytes(content.body);
}

test("what the manifest names is listed and read, with one request each", async () => {
  await using scene = await openScene();
  const { store, replica, server } = scene;
  const files = await listReplica(store, litestreamLayout, {});
  // With the times of their headers, which the store has not kept.
  const written = (await listReplica(replica.inner, litestreamLayout, {})).map((file) => ({
    ...file,
    timestampMs: 1_700_000_000_000,
  }));
  expect(files).toEqual(written);
  expect(await listLevel(store, litestreamLayout, 0, {})).toEqual([written[0]]);
  for (const { key, etag } of files) {
    const content = await store.get(key, { etag });
    expect(content && (await collectBytes(content.body))).toEqual(await read(replica.inner, key));
  }
  expect(server.takeRequests().map(({ key, status }) => `${status} ${key}`)).toEqual([
    "200 manifest.json",
    "304 manifest.json",
    ...written.map(({ key }) => `200 ${key}`),
  ]);
});

test("a file that comes later is found by its name with the manifest alone", async () => {
  await using scene = await openScene();
  await list(scene.store);
  scene.server.takeRequests();
  expect(await scene.store.head(keyOf(third), {})).toBeUndefined();
  await putSmall(scene.replica, third, [1]);
  // The manifest does not say so yet.
  expect(await scene.store.head(keyOf(third), {})).toBeUndefined();
  await putManifest(scene.replica.inner);
  expect(await scene.store.head(keyOf(third), {})).toMatchObject({ key: keyOf(third) });
  expect(scene.server.takeRequests().map(({ key, status }) => `${status} ${key}`)).toEqual([
    "304 manifest.json",
    "304 manifest.json",
    "200 manifest.json",
    `200 ${keyOf(third)}`,
  ]);
});

test("the layout of the writer's store does not matter", async () => {
  await using scene = await openScene();
  const { inner } = scene.replica;
  const expected = await list(scene.store);
  const bytes = await read(inner, keyOf(second));
  for (const key of expected) {
    const name = litestreamLayout.parse(key);
    if (name === undefined) continue;
    const content = await read(inner, key);
    await inner.put(litestreamS3Layout.key(name), bodyOf(content ?? new Uint8Array(0)), {});
    await inner.delete([key], {});
  }
  await putManifest(inner, { layout: litestreamS3Layout });
  expect(await list(scene.store)).toEqual(expected);
  expect(await read(scene.store, keyOf(second))).toEqual(bytes);
});

test("without a manifest there is nothing to list, and the message says what to do", async () => {
  await using scene = await openScene();
  await scene.replica.inner.delete([manifestKey], {});
  const listing = list(scene.store);
  await expect(listing).rejects.toMatchObject({ code: "replica/manifest" });
  await expect(listing).rejects.toThrow("manifest: true");
});

test("a manifest that is torn is an error, and forgotten when it is whole again", async () => {
  await using scene = await openScene();
  const { inner } = scene.replica;
  const whole = (await read(inner, manifestKey)) ?? new Uint8Array(0);
  await inner.put(manifestKey, bodyOf(whole.subarray(0, 200)), {});
  await expect(list(scene.store)).rejects.toMatchObject({ code: "replica/manifest" });
  await inner.put(manifestKey, bodyOf(whole), {});
  expect(await list(scene.store)).toHaveLength(2);
});

test("an object that is not what was listed is changed, not another file's bytes", async () => {
  await using scene = await openScene();
  const { store, replica } = scene;
  const [file] = await listReplica(store, litestreamLayout, {});
  const { key = "", etag = "" } = file ?? {};
  await read(store, key);
  // Of the same size: only the version tells.
  const bytes = (await read(replica.inner, key)) ?? new Uint8Array(0);
  await replica.inner.put(key, bodyOf(bytes), {});
  await expect(store.get(key, { etag })).rejects.toMatchObject({ code: "store/changed" });
  await expect(store.head(key, {})).rejects.toMatchObject({ code: "store/changed" });
  // The next manifest tells of it.
  await putManifest(replica.inner);
  const [again] = await listReplica(store, litestreamLayout, {});
  await expect(store.get(key, { etag })).rejects.toMatchObject({ code: "store/changed" });
  const content = await store.get(key, { etag: again?.etag });
  expect(content && (await collectBytes(content.body))).toEqual(bytes);
});

test("an object of another size is changed at first sight", async () => {
  await using scene = await openScene();
  const { store, replica } = scene;
  await list(store);
  await replica.inner.put(keyOf(second), bodyOf(new Uint8Array(7)), {});
  await expect(read(store, keyOf(second))).rejects.toMatchObject({ code: "store/changed" });
});

test("what a bucket that denies listings does not have is absent, not denied", async () => {
  await using scene = await openScene();
  const { store, replica, server } = scene;
  await list(store);
  server.fault = ({ key }) =>
    key === keyOf(second) || key === "lease.json" ? { kind: "status", status: 403 } : undefined;
  expect(await store.get("lease.json", {})).toBeUndefined();
  // It is listed: so it is there, and denied.
  await expect(store.get(keyOf(second), {})).rejects.toMatchObject({ code: "store/denied" });
  await replica.inner.delete([keyOf(second)], {});
  await putManifest(replica.inner);
  expect(await store.get(keyOf(second), {})).toBeUndefined();
  server.fault = () => ({ kind: "status", status: 403 });
  await expect(list(store)).rejects.toMatchObject({ code: "store/denied" });
});

test("a view that was pinned reads on in files that the manifest has left out", async () => {
  await using scene = await openScene();
  const { store, replica } = scene;
  const [file] = await listReplica(store, litestreamLayout, {});
  const { key = "", etag = "" } = file ?? {};
  const bytes = await read(replica.inner, key);
  await putSmall(replica, { level: 1, min: 2, max: 2 }, [1, 2]);
  await replica.inner.delete([key], {});
  await putManifest(replica.inner);
  expect(await list(store)).not.toContain(key);
  await replica.inner.put(key, bodyOf(bytes ?? new Uint8Array(0)), {});
  const content = await store.get(key, { etag });
  expect(content && (await collectBytes(content.body))).toEqual(bytes);
});

test("a reader that stands still gets what was listed, of the version that it was", async () => {
  await using scene = await openScene();
  const { replica } = scene;
  const reads = await MemoryReads.of(replica.inner);
  let version = "a";
  const served: BlockingReads = {
    getNow: (key, options) => {
      if (key === "lease.json") throw new HeadwaterError("store/denied", "no listing, no absence");
      const content = reads.getNow(key, { ...options, etag: undefined });
      return content && { ...content, etag: version };
    },
  };
  const manifests = createBlockingManifestStore(scene.store, served);
  const [file] = await listReplica(manifests.store, litestreamLayout, {});
  const { key = "", etag = "", sizeBytes = 0 } = file ?? {};
  const whole = await read(replica.inner, key);
  const content = manifests.reads.getNow(key, { offset: 10, length: 20, etag });
  expect(content).toEqual({ etag, sizeBytes, bytes: whole?.slice(10, 30) });
  expect(() => manifests.reads.getNow(key, { etag: "other" })).toThrow("is not the object");
  version = "b";
  expect(() => manifests.reads.getNow(key, { etag })).toThrow("is not the object");
  expect(manifests.reads.getNow("lease.json", {})).toBeUndefined();
  expect(manifests.reads.getNow("nowhere", {})).toBeUndefined();
});
