// Views of a replica behind a server that cannot list: what opening and following it asks for.
import { expect, test } from "vitest";
import { type HttpServer, startHttpServer } from "../../../test/support/http-server.ts";
import { describeReplica, putManifest } from "../../../test/support/manifest.ts";
import { ReplicaHistory, pageOf } from "../../../test/support/replica-builder.ts";
import { ViewReplica, atTxid, codeOf, keyOf, readAll } from "../../../test/support/view-replica.ts";
import { openCodec } from "../codec/codec.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { createManifestStore } from "../replica/manifest-store.ts";
import { manifestKey } from "../replica/manifest.ts";
import { createHttpStore } from "../store/http-store.ts";
import { ReplicaViews } from "./replica-views.ts";

const pageSize = 4096;
const pageCount = 300;

/** TXID 1 writes every page; each later one writes a page that tells its number. */
const history = new ReplicaHistory(
  pageSize,
  Array.from({ length: 9 }, (_, n) => ({
    commit: pageCount,
    pages: new Map(
      n === 0
        ? Array.from({ length: pageCount }, (_each, page) => [page + 1, pageOf(pageSize, page)])
        : [[n, pageOf(pageSize, 1000 + n)]],
    ),
  })),
);

const image = { level: 9, min: 1, max: 1 };
const single = (txid: number) => ({ level: 0, min: txid, max: txid });

interface Scene extends AsyncDisposable {
  readonly replica: ViewReplica;
  readonly server: HttpServer;
  readonly open: () => Promise<ReplicaViews>;
}

async function openScene(): Promise<Scene> {
  const replica = new ViewReplica();
  await replica.putHistory(history, [image, single(2)]);
  await putManifest(replica.inner);
  const server = await startHttpServer(replica.inner, { etagOf: (etag) => `x-${etag}` });
  const http = createHttpStore({ url: server.url, fetch, revalidation: "header" });
  const store = createManifestStore(http);
  const open = (): Promise<ReplicaViews> =>
    ReplicaViews.open(
      {
        store,
        layout: litestreamLayout,
        codec: openCodec(),
        cacheBytes: 4_000_000,
      },
      {},
    );
  return { replica, server, open, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const requestsOf = (server: HttpServer): readonly string[] =>
  server
    .takeRequests()
    .map(({ status, key, range = "" }) => `${status} ${key} ${range}`.trim())
    .toSorted();

test("opening asks for the manifest, exactly the index of the image, and the small file whole", async () => {
  await using scene = await openScene();
  const { files } = await describeReplica(scene.replica.inner);
  const [small, large] = files;
  await using views = await scene.open();
  const indexFrom = (large?.sizeBytes ?? 0) - (large?.inside?.indexSizeBytes ?? 0) - 16;
  expect(requestsOf(scene.server)).toEqual([
    "200 manifest.json",
    `206 ${keyOf(single(2))} bytes=0-${(small?.sizeBytes ?? 0) - 1}`,
    `206 ${keyOf(image)} bytes=${indexFrom}-${(large?.sizeBytes ?? 0) - 1}`,
  ]);
  using view = views.newest();
  expect(await readAll(view)).toEqual(history.databaseAt(2));
});

test("following asks for the manifest, which is sent when it has changed", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  requestsOf(scene.server);
  expect(await views.refresh({})).toBe(false);
  expect(requestsOf(scene.server)).toEqual(["304 manifest.json"]);
  await scene.replica.putHistory(history, [single(3), single(4)]);
  expect(await views.refresh({})).toBe(false);
  requestsOf(scene.server);
  await putManifest(scene.replica.inner);
  expect(await views.refresh({})).toBe(true);
  expect(requestsOf(scene.server)).toHaveLength(3);
  using view = views.newest();
  expect(await readAll(view)).toEqual(history.databaseAt(4));
});

test("a moment is found without reading headers", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  requestsOf(scene.server);
  const beforeMs = 1_700_000_000_000 + 2000;
  using view = await views.at({ kind: "time", beforeMs }, {});
  expect(view.txid).toBe(1n);
  expect(requestsOf(scene.server)).toEqual(["304 manifest.json"]);
});

test("a manifest that names files which are gone is read again, then the reason is told", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  await scene.replica.putHistory(history, [single(3)]);
  await putManifest(scene.replica.inner);
  await scene.replica.delete(single(3));
  requestsOf(scene.server);
  expect(await codeOf(views.refresh({}))).toBe("store/changed");
  expect(requestsOf(scene.server).filter((line) => line.includes(manifestKey)).length).toBe(4);
  // Compacted meanwhile: the next manifest leads there.
  await scene.replica.putHistory(history, [{ level: 1, min: 2, max: 3 }]);
  await putManifest(scene.replica.inner);
  expect(await views.refresh({})).toBe(true);
  using view = views.newest();
  expect(await readAll(view)).toEqual(history.databaseAt(3));
});

test("a pinned view finds the same state in the files that the next manifest names", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  using view = views.newest();
  await scene.replica.putHistory(history, [{ level: 9, min: 1, max: 2 }]);
  await scene.replica.delete(image, single(2));
  await putManifest(scene.replica.inner);
  expect(await readAll(view)).toEqual(history.databaseAt(2));
});

test("a file of another history is refused by what the manifest says it proves", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  const bytes = await history.fileOf(single(3), {
    proof: { before: history.checksumAt(5), after: history.checksumAt(3) },
  });
  await scene.replica.put(single(3), bytes);
  await putManifest(scene.replica.inner);
  expect(await codeOf(views.refresh({}))).toBe("replica/proof");
});

test("without a manifest an open replica stays what it is", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  await scene.replica.inner.delete([manifestKey], {});
  expect(await codeOf(views.refresh({}))).toBe("replica/manifest");
  using view = views.newest();
  expect(await readAll(view)).toEqual(history.databaseAt(2));
  expect(await codeOf(scene.open())).toBe("replica/manifest");
});

test("TXIDs that the manifest keeps can be opened", async () => {
  await using scene = await openScene();
  await using views = await scene.open();
  using view = await views.at(atTxid(1), {});
  expect(await readAll(view)).toEqual(history.databaseAt(1));
});
