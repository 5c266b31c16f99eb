// Views where files vanish, are damaged or are those of another history; and what is forgotten and ended.
import { describe, expect, it } from "vitest";
import { ReplicaHistory, pageOf, sampleHistory } from "../../../test/support/replica-builder.ts";
import {
  ViewReplica,
  atTxid,
  codeOf,
  keyOf,
  putSmall,
  readAll,
  singles,
} from "../../../test/support/view-replica.ts";
import { must } from "../base/assert.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import { openCodec } from "../codec/codec.ts";
import { toTxid } from "../ltx/txid.ts";
import { listReplica } from "../replica/catalog.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { writeChecksumFile } from "./checksum-file.ts";
import type { ViewFile } from "./file-table.ts";
import type { ViewTarget } from "./replica-views.ts";

describe("ReplicaViews, when things go wrong,", () => {
  it("goes on in other files for the same TXID when those it read are gone", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 10));
    await using views = await replica.open({ cacheBytes: 3 * 4200 });
    using view = await views.at(atTxid(8), {});
    const { map } = view;
    await replica.putHistory(history, [
      { level: 9, min: 1, max: 6 },
      { level: 1, min: 7, max: 8 },
    ]);
    await replica.delete(...singles(1, 8));
    expect(Buffer.compare(await readAll(view), history.databaseAt(8))).toBe(0);
    expect(view.map).not.toBe(map);
    expect([view.txid, view.map.generation]).toEqual([8n, map.generation]);
    // What was newest is planned again, too, and followed from there.
    using newest = views.newest();
    expect(Buffer.compare(await readAll(newest), history.databaseAt(10))).toBe(0);
  });

  it("says that a snapshot is too old when no files make its TXID any more", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 10));
    await using views = await replica.open({ cacheBytes: 4200 });
    using view = await views.at(atTxid(5), {});
    await replica.putHistory(history, [{ level: 9, min: 1, max: 9 }]);
    await replica.delete(...singles(1, 9));
    const error: unknown = await readAll(view).catch((thrown: unknown) => thrown);
    expect(hasCode(error, "view/too-old")).toBe(true);
    expect(String(error)).toMatch(/Snapshot too old: TXID 0000000000000005.*read again/u);
    using newest = views.newest();
    expect(Buffer.compare(await readAll(newest), history.databaseAt(10))).toBe(0);
  });

  it("does not take the same TXID of another history for its own", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 4));
    await using views = await replica.open({ cacheBytes: 4200 });
    using view = views.newest();
    const { pages, commit } = {
      commit: 4,
      pages: new Map([1, 2, 3, 4].map((n) => [n, pageOf(4096, 900 + n)])),
    };
    const other = new ReplicaHistory(
      4096,
      Array.from({ length: 4 }, () => ({ commit, pages })),
    );
    await replica.delete(...singles(1, 4));
    await replica.putHistory(other, singles(1, 4));
    expect(await codeOf(readAll(view))).toBe("view/too-old");
  });

  it("knows another history without proofs by the size of its database", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    const unproved = async (max: number): Promise<Uint8Array> =>
      history.fileOf({ min: 1, max }, { maxTxid: toTxid(4), proof: undefined });
    await replica.put({ level: 9, min: 1, max: 4 }, await unproved(4));
    await using views = await replica.open({ cacheBytes: 4200 });
    using view = views.newest();
    await replica.put({ level: 9, min: 1, max: 4 }, await unproved(5));
    expect(await codeOf(readAll(view))).toBe("view/too-old");
  });

  it("knows another history without proofs, of the same size, by the bytes of a file", async () => {
    const replica = new ViewReplica();
    const range = { level: 9, min: 1, max: 4 };
    await replica.put(range, await unprovedImage(1));
    await using views = await replica.open({ cacheBytes: 4200 });
    using view = views.newest();
    // The same bytes, put again, are the same history.
    await replica.put(range, await unprovedImage(1));
    expect(await codeOf(readAll(view))).toBeUndefined();
    await replica.put(range, await unprovedImage(100));
    expect(await codeOf(readAll(view))).toBe("view/too-old");
  });

  it("leaves no body unread whose checksums cannot be had", async () => {
    const replica = new ViewReplica();
    const range = { level: 9, min: 1, max: 10 };
    await replica.putHistory(sampleHistory(), [range]);
    const [file] = await listReplica(replica.store, litestreamLayout, {});
    await writeChecksumFile(must(file, "the image"), { store: replica.inner, codec: openCodec() });
    let open = 0;
    async function* counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      try {
        yield* body;
      } finally {
        open--;
      }
    }
    const { inner } = replica;
    const get: typeof inner.get = async (key, options) => {
      if (key.startsWith("page-checksums/")) throw new HeadwaterError("store/unavailable", "away");
      const content = await inner.get(key, options);
      if (content === undefined) return undefined;
      open++;
      return { ...content, body: counted(content.body) };
    };
    await using views = await replica.open({ store: { ...replica.store, get }, cacheBytes: 4200 });
    using view = views.newest();
    expect(await codeOf(readAll(view))).toBe("store/unavailable");
    expect(open).toBe(0);
  });

  it("says so when the replica was begun anew, and not when one listing missed its newest file", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 4));
    let listings = 0;
    const list = async (): Promise<readonly ViewFile[]> => {
      const files = await listReplica(replica.store, litestreamLayout, {});
      return ++listings === 2 ? files.filter(({ maxTxid }) => maxTxid < 4n) : files;
    };
    await using views = await replica.open({ list });
    expect(await views.refresh({})).toBe(false);
    expect(listings).toBe(3);
    await replica.delete(...singles(1, 4));
    await replica.putHistory(history, singles(1, 2));
    expect(await codeOf(views.refresh({}))).toBe("view/history-changed");
    expect(views.txid).toBe(4n);
    await replica.putHistory(history, singles(3, 4));
    expect(await views.refresh({})).toBe(false);
  });

  it("refuses an empty replica, and one that was emptied while it was read", async () => {
    const replica = new ViewReplica();
    expect(await codeOf(replica.open())).toBe("replica/empty");
    await replica.putHistory(sampleHistory(), singles(1, 2));
    await using views = await replica.open({ cacheBytes: 4200 });
    using view = views.newest();
    await replica.delete(...singles(1, 2));
    expect(await codeOf(views.refresh({}))).toBe("replica/empty");
    expect(await codeOf(readAll(view))).toBe("view/too-old");
  });

  it("refuses a TXID and a time before the first, and one after the last", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, [{ level: 9, min: 1, max: 5 }, ...singles(6, 8)]);
    await using views = await replica.open();
    for (const txid of [4, 9]) {
      expect(await codeOf(views.at(atTxid(txid), {}))).toBe("replica/unreachable-txid");
    }
    const early: ViewTarget = { kind: "time", beforeMs: 1_700_000_000_000 };
    expect(await codeOf(views.at(early, {}))).toBe("replica/unreachable-time");
    using newest = await views.at({ kind: "time", beforeMs: Date.now() + 1e12 }, {});
    expect(newest.txid).toBe(8n);
  });

  it("refuses a damaged index, a header of other TXIDs, and a second history", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    const image = { level: 9, min: 1, max: 3 };
    const sound = await history.fileOf(image);
    for (const [bytes, code] of [
      [sound.with(sound.length - 20, 200), "ltx/invalid"],
      [sound.with(31, 9), "replica/foreign-file"],
      [sound.with(200, (sound[200] ?? 0) ^ 1), "ltx/checksum"],
      [sound.slice(0, 60), "ltx/short"],
    ] as const) {
      await replica.put(image, bytes);
      const found = await codeOf(replica.open());
      expect([code, "ltx/invalid"]).toContain(found);
    }
    await replica.put(image, sound);
    const other = await history.fileOf(
      { min: 4, max: 4 },
      { proof: { before: 2n ** 63n + 5n, after: 0n } },
    );
    await replica.put({ level: 0, min: 4, max: 4 }, other);
    expect(await codeOf(replica.open())).toBe("replica/proof");
  });

  it("forgets files that no view needs, however long it follows", async () => {
    const replica = new ViewReplica();
    await putSmall(replica, { level: 0, min: 1, max: 1 }, [1, 2, 3]);
    await using views = await replica.open();
    for (let from = 2; from < 2400; from += 600) {
      for (let txid = from; txid < from + 600; txid++) {
        await putSmall(replica, { level: 0, min: txid, max: txid }, [1]);
      }
      await views.refresh({});
    }
    using view = views.newest();
    const page = new Uint8Array(512);
    await view.read(1, page, {});
    expect(Buffer.compare(page, pageOf(512, 2401))).toBe(0);
    await view.read(2, page, {});
    expect(Buffer.compare(page, pageOf(512, 2))).toBe(0);
    expect(views.knownFiles).toBeLessThan(1700);
  });

  it("does not forget the files that a view has just been planned onto", async () => {
    const replica = new ViewReplica();
    const old = Array.from({ length: 1200 }, (_, n) => ({ level: 0, min: n + 1, max: n + 1 }));
    for (const range of old) await putSmall(replica, range, range.min === 1 ? [1, 2, 3] : [1]);
    await using views = await replica.open({ cacheBytes: 540 });
    using view = views.newest();
    await putSmall(replica, { level: 9, min: 1, max: 1201 }, [1, 2, 3]);
    await views.refresh({});
    await replica.delete(...old);
    await putSmall(replica, { level: 9, min: 1, max: 1200 }, [1, 2, 3]);
    const page = new Uint8Array(512);
    for (const pgno of [2, 3, 1]) {
      await view.read(pgno, page, {});
      expect(Buffer.compare(page, pageOf(512, pgno === 1 ? 1200 : pgno))).toBe(0);
    }
    expect(views.knownFiles).toBeLessThan(10);
  });

  it("ends what waits when it is closed, and when its reader gives up", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, [{ level: 9, min: 1, max: 3 }]);
    const views = await replica.open({ cacheBytes: 4200 });
    const view = views.newest();
    replica.fault = ({ operation }) =>
      operation === "get" ? { kind: "delay", ms: 1000 } : undefined;
    const page = new Uint8Array(4096);
    const cancelled = new AbortController();
    const reading = view.read(2, page, { signal: cancelled.signal });
    const waiting = view.read(2, page, {});
    cancelled.abort(new Error("cancelled"));
    await expect(reading).rejects.toThrow("cancelled");
    await views[Symbol.asyncDispose]();
    expect(await codeOf(waiting)).toBe("view/closed");
    expect(await codeOf(views.refresh({}))).toBe("view/closed");
  });

  it("names its files by key and version, so that a replaced one is another", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    const image = { level: 9, min: 1, max: 3 };
    await replica.putHistory(history, [image]);
    await using views = await replica.open({ cacheBytes: 4200 });
    using view = views.newest();
    // A repair puts another encoding of the same pages.
    const again = await history.fileOf(image, { nodeId: 9n });
    await replica.put(image, again);
    expect(Buffer.compare(await readAll(view), history.databaseAt(3))).toBe(0);
    expect(replica.calls.some(({ key }) => key === keyOf(image))).toBe(true);
  });
});

/** A full image of TXID 4, three pages, as Litestream writes it. */
async function unprovedImage(seed: number): Promise<Uint8Array> {
  const pages = new Map([1, 2, 3].map((pgno) => [pgno, pageOf(4096, seed + pgno)]));
  const history = new ReplicaHistory(4096, [{ commit: 3, pages }]);
  return history.fileOf({ min: 1, max: 1 }, { maxTxid: toTxid(4), proof: undefined });
}
