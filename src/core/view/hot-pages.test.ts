// Hot pages: what is written is read, what is altered is refused, and a reader is spared all but the leaf it looks for.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type HttpServer, startHttpServer } from "../../../test/support/http-server.ts";
import { putHotPages, putManifest } from "../../../test/support/manifest.ts";
import { TreeReader, sampleDatabase } from "../../../test/support/tree-reader.ts";
import { ViewReplica, keyOf } from "../../../test/support/view-replica.ts";
import { collectBytes } from "../base/bytes.ts";
import { openCodec } from "../codec/codec.ts";
import { toTxid } from "../ltx/txid.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { createManifestStore } from "../replica/manifest-store.ts";
import { createHttpStore } from "../store/http-store.ts";
import { bodyOf } from "../store/object-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { type HotPages, decodeHotPages, encodeHotPages, hotPagesLayout } from "./hot-pages.ts";
import { ReplicaViews } from "./replica-views.ts";

const codec = openCodec();
const pageSize = 4096;
const sample = sampleDatabase();
const image = { level: 9, min: 1, max: 1 };

const pages: HotPages = {
  txid: toTxid(77),
  pageSize: 512,
  frames: [
    { key: "ltx/9/a.ltx", etag: "1-2", offset: 100, bytes: Uint8Array.of(0, 0, 0, 1, 9) },
    { key: "ltx/3/ü.ltx", etag: "", offset: 2 ** 40, bytes: Uint8Array.of(0, 0, 0, 2) },
    { key: "ltx/9/a.ltx", etag: "1-2", offset: 200, bytes: new Uint8Array(0) },
  ],
};

test("what was written is read", () => {
  expect(decodeHotPages(codec, encodeHotPages(codec, pages).bytes)).toEqual(pages);
  const none = { ...pages, frames: [] };
  expect(decodeHotPages(codec, encodeHotPages(codec, none).bytes)).toEqual(none);
});

test("the key is that of the bytes", () => {
  const { key } = encodeHotPages(codec, pages);
  expect(key).toMatch(/^hot-pages\/000000000000004d-[0-9a-f]{16}\.frames$/u);
  const other = { ...pages, frames: pages.frames.slice(1) };
  expect(encodeHotPages(codec, other).key).not.toBe(key);
});

test("every cut and every changed byte is noticed", () => {
  const { bytes } = encodeHotPages(codec, pages);
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeHotPages(codec, bytes.subarray(0, length))).toBeUndefined();
  }
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    expect(decodeHotPages(codec, flipped), `byte ${at}`).toBeUndefined();
  }
});

test("the byte table of the documentation is that of the code", () => {
  const text = readFileSync(new URL("../../../docs/formats/hot-pages.md", import.meta.url), "utf8");
  const rows = text.matchAll(/^\| *(?<offset>\d+) *\| *(?<size>\d+) *\| *(?<field>\w+) *\|/gmu);
  const layout = Array.from(rows, ([, offset, size, field]) => [
    field,
    [Number(offset), Number(size)],
  ]);
  expect(Object.fromEntries(layout)).toEqual(hotPagesLayout);
});

interface Scene extends AsyncDisposable {
  readonly replica: ViewReplica;
  readonly server: HttpServer;
  readonly open: () => Promise<ReplicaViews>;
  /** Looks up a row; the keys that were asked for. */
  readonly lookUp: (views: ReplicaViews) => Promise<readonly string[]>;
}

/** The sample as one full image behind a server, with a manifest that names its hot pages. */
async function openScene(): Promise<Scene> {
  const clock = new VirtualClock({ isEager: true });
  const replica = new ViewReplica(clock);
  await replica.putDatabase(sample.bytes, pageSize);
  await putManifest(replica.inner, { hot: await putHotPages(replica.inner) });
  const server = await startHttpServer(replica.inner, { etagOf: (etag) => `x-${etag}` });
  const http = createHttpStore({ url: server.url, fetch, revalidation: "header" });
  const store = createManifestStore(http);
  return {
    replica,
    server,
    open: () =>
      ReplicaViews.open({ store, layout: litestreamLayout, codec, cacheBytes: 10_000_000 }, {}),
    lookUp: async (views) => {
      using view = views.newest();
      const reader = new TreeReader(view, { cache: views.cache, clock, pageMs: 0 });
      expect(await reader.lookUp(sample.table, 12_345n)).toBe(true);
      return server.takeRequests().map(({ key }) => key);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test("opening and the first lookup take four requests", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  const opening = scene.server.takeRequests().map(({ key }) => key);
  const hot = opening.find((key) => key.startsWith("hot-pages/"));
  expect(opening.toSorted()).toEqual([hot, keyOf(image), "manifest.json"]);
  expect(await scene.lookUp(views)).toEqual([keyOf(image)]);
});

test("the interior pages that a reader prefetches are among them: it asks for nothing more", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  scene.server.takeRequests();
  using view = views.newest();
  await view.prefetch({});
  expect(scene.server.takeRequests()).toEqual([]);
});

test.each([
  ["gone", async ({ inner }: ViewReplica, key: string) => inner.delete([key], {})],
  [
    "damaged",
    async ({ inner }: ViewReplica, key: string) => {
      const content = await inner.get(key, {});
      const bytes = content === undefined ? new Uint8Array(1) : await collectBytes(content.body);
      bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 1;
      await inner.put(key, bodyOf(bytes), {});
    },
  ],
])("hot pages that are %s cost requests, nothing else", async (_, harm) => {
  await using scene = await openScene();
  for await (const { key } of scene.replica.inner.list({ prefix: "hot-pages/" })) {
    await harm(scene.replica, key);
  }
  await using views = await scene.open();
  scene.server.takeRequests();
  expect((await scene.lookUp(views)).length).toBeGreaterThan(1);
});

test("hot pages of an object that was replaced are not taken for the new one's", async () => {
  await using scene = await openScene();
  const { inner } = scene.replica;
  let hot: { key: string; sizeBytes: number } | undefined;
  for await (const info of inner.list({ prefix: "hot-pages/" })) hot = info;
  await inner.put(keyOf(image), bodyOf(await scene.replica.bytesOf(image)), {});
  await putManifest(inner, { hot: hot && { ...hot, txid: toTxid(1) } });
  await using views = await scene.open();
  scene.server.takeRequests();
  expect((await scene.lookUp(views)).length).toBeGreaterThan(1);
});
