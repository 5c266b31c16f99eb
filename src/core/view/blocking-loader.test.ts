// Views whose pages are read while the reader stands still.
import { describe, expect, it } from "vitest";
import { MemoryReads } from "../../../test/support/memory-reads.ts";
import { sampleDatabase } from "../../../test/support/tree-reader.ts";
import { ViewReplica, keyOf } from "../../../test/support/view-replica.ts";
import { must } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import { openCodec } from "../codec/codec.ts";
import { listReplica } from "../replica/catalog.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { checksumFileKey, writeChecksumFile } from "./checksum-file.ts";
import { fetchDefaults } from "./fetcher.ts";
import type { ReplicaViews, ReplicaViewsOptions } from "./replica-views.ts";
import type { View } from "./view.ts";

const pageSize = 4096;
const sample = sampleDatabase();
const image = keyOf({ level: 9, min: 1, max: 1 });

interface Scene extends AsyncDisposable {
  readonly replica: ViewReplica;
  readonly reads: MemoryReads;
  readonly views: ReplicaViews;
  readonly view: View;
}

async function openScene({
  hasChecksums = false,
  ...options
}: Partial<ReplicaViewsOptions> & { readonly hasChecksums?: boolean } = {}): Promise<Scene> {
  const replica = new ViewReplica();
  await replica.putDatabase(sample.bytes, pageSize);
  if (hasChecksums) {
    const [file] = await listReplica(replica.inner, litestreamLayout, {});
    await writeChecksumFile(must(file, "image"), { store: replica.inner, codec: openCodec() });
  }
  const reads = await MemoryReads.of(replica.inner);
  const views = await replica.open({ cacheBytes: 10 * 1024 * 1024, reads, ...options });
  return {
    replica,
    reads,
    views,
    view: views.newest(),
    [Symbol.asyncDispose]: () => views[Symbol.asyncDispose](),
  };
}

function pageNow({ views, view }: Scene, pgno: number): Uint8Array {
  const page = new Uint8Array(pageSize);
  for (;;) {
    const frame = must(view.fetchNow(pgno).locate(pgno), "frame");
    if (views.cache.read(frame, page) !== "miss") return page;
  }
}

function pageOfSample(pgno: number): Uint8Array {
  return Uint8Array.from(sample.bytes.subarray((pgno - 1) * pageSize, pgno * pageSize));
}

describe("pages that are read while the reader stands still", () => {
  it.each([10 * 1024 * 1024, 5 * (pageSize + 19)])(
    "are those of the database, with a cache of %i bytes",
    async (cacheBytes) => {
      await using scene = await openScene({ cacheBytes });
      scene.replica.takeGets();
      for (let pgno = 1; pgno <= scene.view.map.commit; pgno++) {
        expect(pageNow(scene, pgno)).toEqual(pageOfSample(pgno));
      }
      expect(scene.replica.takeGets()).toEqual([]);
    },
  );

  it("come with those that follow, in few requests", async () => {
    await using scene = await openScene();
    const { commit } = scene.view.map;
    for (let pgno = 1; pgno <= commit; pgno++) pageNow(scene, pgno);
    expect(scene.reads.requests.length).toBeLessThan(commit / 8);
  });

  it("that lie anywhere are not all waited for at once", async () => {
    await using scene = await openScene({
      limits: { ...fetchDefaults, maxGapBytes: 0, maxRequestBytes: 1 },
    });
    const { reads, view } = scene;
    let most = 0;
    for (let pgno = 1; pgno <= view.map.commit; pgno++) {
      const before = reads.requests.length;
      pageNow(scene, pgno);
      most = Math.max(most, reads.requests.length - before);
    }
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(16);
    // Some leave the cache before they are read.
    expect(reads.requests.length).toBeLessThan(1.1 * view.map.commit);
  });

  it("are read once more where they are damaged, then refused by name", async () => {
    await using scene = await openScene();
    const { reads, view } = scene;
    const frame = must(view.map.locate(300), "frame");
    // Its page number.
    reads.damage(image, frame.offset + 3);
    expect(() => pageNow(scene, 300)).toThrow(
      expect.objectContaining({
        code: "view/corrupt-page",
        message: expect.stringContaining(`Page 300 in ${image}`),
      }),
    );
    expect(reads.requests).toHaveLength(2);
    reads.beforeRead = () => {
      reads.beforeRead = () => undefined;
      reads.damage(image, frame.offset + 3);
    };
    expect(pageNow(scene, 300)).toEqual(pageOfSample(300));
  });

  it("are held to the checksums of their file, which are read once", async () => {
    await using scene = await openScene({ hasChecksums: true });
    const { reads, view } = scene;
    expect(pageNow(scene, 2)).toEqual(pageOfSample(2));
    expect(pageNow(scene, 40)).toEqual(pageOfSample(40));
    const sidecars = reads.requests.filter(({ key }) => key.startsWith("page-checksums/"));
    expect(sidecars).toHaveLength(1);
    // In the middle of a literal, which decodes.
    const frame = must(view.map.locate(60), "frame");
    reads.damage(image, frame.offset + frame.sizeBytes - 3);
    expect(() => pageNow(scene, 60)).toThrow(
      expect.objectContaining({ code: "view/corrupt-page" }),
    );
  });

  it("do without checksums whose file is gone", async () => {
    await using scene = await openScene({ hasChecksums: true });
    const [file] = await listReplica(scene.replica.inner, litestreamLayout, {});
    scene.reads.delete(checksumFileKey(must(file, "image")));
    expect(pageNow(scene, 2)).toEqual(pageOfSample(2));
  });

  it("fail for the page that is wanted, not for one that is read ahead", async () => {
    await using scene = await openScene();
    const { reads } = scene;
    const away = new HeadwaterError("store/unavailable", "away");
    let isFirst = true;
    reads.beforeRead = () => {
      if (!isFirst) throw away;
      isFirst = false;
    };
    expect(pageNow(scene, 300)).toEqual(pageOfSample(300));
    expect(() => pageNow(scene, 900)).toThrow(away);
    reads.delete(image);
    reads.beforeRead = () => undefined;
    expect(() => pageNow(scene, 900)).toThrow(expect.objectContaining({ code: "store/changed" }));
  });
});
