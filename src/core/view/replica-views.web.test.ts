// The codec and the views in a browser, over files from another origin.
import { expect, it } from "vitest";
import type { FileRange } from "../../../test/support/replica-builder.ts";
import { WebScene, takeRequests } from "../../../test/support/web-scene.ts";
import { openCodec } from "../codec/codec.ts";
import { toTxid } from "../ltx/txid.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { bodyOf } from "../store/object-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { ReplicaViews } from "./replica-views.ts";

it("reads every page of a replica as the database has it", async () => {
  const scene = await WebScene.make();
  const ranges: readonly FileRange[] = [
    { level: 9, min: 1, max: 2 },
    { level: 0, min: 3, max: 3 },
    { level: 0, min: 4, max: 4 },
  ];
  await scene.put(...ranges);
  const store = createMemoryStore({ clock: new VirtualClock() });
  for (const { level, min, max } of ranges) {
    const key = litestreamLayout.key({ level, minTxid: toTxid(min), maxTxid: toTxid(max) });
    const response = await fetch(`${scene.url}/${key}`);
    await store.put(key, bodyOf(new Uint8Array(await response.arrayBuffer())), {});
  }
  const options = { store, layout: litestreamLayout, codec: openCodec(), cacheBytes: 1 << 20 };
  await using views = await ReplicaViews.open(options, {});
  using view = views.newest();
  const { pageSize, commit } = view.map;
  const bytes = new Uint8Array(pageSize * commit);
  for (let pgno = 1; pgno <= commit; pgno++) {
    await view.read(pgno, bytes.subarray((pgno - 1) * pageSize, pgno * pageSize), {});
  }
  expect(view.txid).toBe(BigInt(scene.txid));
  expect(bytes).toEqual(await scene.databaseAt(scene.txid));
});

it("meets no preflight on its way to another origin", async () => {
  const scene = await WebScene.make();
  await scene.put({ level: 9, min: 1, max: 1 });
  await takeRequests();
  const key = litestreamLayout.key({ level: 9, minTxid: toTxid(1), maxTxid: toTxid(1) });
  const response = await fetch(`${scene.url}/${key}`, { headers: { Range: "bytes=0-99" } });
  expect(response.status).toBe(206);
  expect(response.headers.get("ETag")).not.toBeNull();
  expect(response.headers.get("Content-Range")).toMatch(/^bytes 0-99\//u);
  expect(await takeRequests()).toEqual([
    { method: "GET", path: `${scene.id}/${key}`, range: "bytes=0-99", status: 206 },
  ]);
});
