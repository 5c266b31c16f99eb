import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { goldenSetNames, readGoldenSet } from "../../../test/support/golden.ts";
import {
  type FileRange,
  ReplicaHistory,
  type Transaction,
  pageOf,
  sampleHistory,
} from "../../../test/support/replica-builder.ts";
import { encodeWhole, ltxHeader } from "../../../test/support/ltx.ts";
import { ViewReplica, keyOf, readAll } from "../../../test/support/view-replica.ts";
import { hasCode } from "../base/errors.ts";
import { openCodec } from "../codec/codec.ts";
import { toTxid } from "../ltx/txid.ts";
import { MemoryFrames } from "./persistent-frames.ts";
import type { ReplicaViews, ViewTarget } from "./replica-views.ts";

const codec = openCodec();

function at(txid: number | bigint): ViewTarget {
  return { kind: "txid", txid: toTxid(txid) };
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof Error && "code" in error ? error.code : error;
}

async function bytesAt(views: ReplicaViews, target: ViewTarget): Promise<Uint8Array> {
  using view = await views.at(target, {});
  return await readAll(view);
}

/** Level-0 files of single TXIDs. */
function singles(from: number, to: number): readonly FileRange[] {
  return Array.from({ length: to - from + 1 }, (_, n) => ({
    level: 0,
    min: from + n,
    max: from + n,
  }));
}

describe.each(goldenSetNames())("golden set %s", (name) => {
  const set = readGoldenSet(name);

  it("reads every recorded TXID and time page by page as it was recorded", async () => {
    const replica = new ViewReplica();
    await replica.putGolden(set);
    await using views = await replica.open();
    for (const { txid, sha256 } of set.restores) {
      if (sha256 === undefined) {
        expect(await codeOf(bytesAt(views, at(txid)))).toBe("replica/unreachable-txid");
      } else {
        expect(`${txid} ${hash(await bytesAt(views, at(txid)))}`).toBe(`${txid} ${sha256}`);
      }
    }
    for (const { timestampMs, sha256 } of set.timestampRestores) {
      if (sha256 === undefined || timestampMs === null) continue;
      const found = await bytesAt(views, { kind: "time", beforeMs: timestampMs });
      expect(`${timestampMs} ${hash(found)}`).toBe(`${timestampMs} ${sha256}`);
    }
  });
});

describe.each([512, 1024, 4096, 65_536])("pages of %i bytes", (pageSize) => {
  it("are read at every TXID through growth, shrink and growth", async () => {
    const history = sampleHistory(pageSize);
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 10));
    await using views = await replica.open({ isShared: true });
    expect(views.pageSize).toBe(pageSize);
    for (let txid = 1; txid <= 10; txid++) {
      const found = await bytesAt(views, at(txid));
      expect(Buffer.compare(found, history.databaseAt(txid)), `TXID ${txid}`).toBe(0);
    }
  });
});

describe("ReplicaViews", () => {
  it("reads every TXID of random histories on random levels, and follows them, as a model does", async () => {
    await fc.assert(
      fc.asyncProperty(randomHistory(), async ({ transactions, merges }) => {
        const history = new ReplicaHistory(512, transactions);
        const replica = new ViewReplica();
        const last = transactions.length;
        await replica.putHistory(history, singles(1, 1));
        await using views = await replica.open();
        using first = views.newest();
        for (let txid = 2; txid <= last; txid++) {
          await replica.putHistory(history, [
            ...singles(txid, txid),
            ...merges.filter(({ max }) => max === txid - 1),
          ]);
          expect(await views.refresh({})).toBe(true);
          expect(views.txid).toBe(BigInt(txid));
          using newest = views.newest();
          expect(Buffer.compare(await readAll(newest), history.databaseAt(txid))).toBe(0);
        }
        for (let txid = 1; txid <= last; txid++) {
          const found = await bytesAt(views, at(txid));
          expect(Buffer.compare(found, history.databaseAt(txid)), `TXID ${txid}`).toBe(0);
        }
        expect(Buffer.compare(await readAll(first), history.databaseAt(1))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("does not let a merged file that ends earlier hide newer pages", async () => {
    // The official VFS goes back to TXID 5 when the level-1 file appears.
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 10));
    await using views = await replica.open();
    await replica.putHistory(history, [{ level: 1, min: 2, max: 5 }]);
    expect(await views.refresh({})).toBe(false);
    using view = views.newest();
    expect(Buffer.compare(await readAll(view), history.databaseAt(10))).toBe(0);
  });

  it("goes on where level 0 was deleted and level 1 does not begin where the view ends", async () => {
    // The official VFS stays at TXID 3 for ever.
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 3));
    await using views = await replica.open();
    await replica.putHistory(history, [{ level: 1, min: 2, max: 8 }, ...singles(9, 9)]);
    await replica.delete(...singles(2, 3));
    expect(await views.refresh({})).toBe(true);
    expect(views.txid).toBe(9n);
    using view = views.newest();
    expect(Buffer.compare(await readAll(view), history.databaseAt(9))).toBe(0);
  });

  it("has the size of the database after a shrink, not of its highest page", async () => {
    // The official VFS reports the highest page that was ever indexed.
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 4));
    await using views = await replica.open();
    await replica.putHistory(history, singles(5, 5));
    await views.refresh({});
    using view = views.newest();
    expect(view.map.commit).toBe(4);
    expect(view.map.locate(5)).toBeUndefined();
  });

  it("keeps a pinned view where it is while the newest moves, with the same generation", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 6));
    await using views = await replica.open();
    using pinned = views.newest();
    const { generation } = pinned.map;
    await replica.putHistory(history, singles(7, 10));
    expect(await views.refresh({})).toBe(true);
    expect(await views.refresh({})).toBe(false);
    expect(pinned.map.generation).toBe(generation);
    expect(Buffer.compare(await readAll(pinned), history.databaseAt(6))).toBe(0);
    using newest = views.newest();
    expect(newest.map.generation).not.toBe(generation);
  });

  it("goes on in other files for the same TXID when those it read are gone", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, singles(1, 10));
    await using views = await replica.open({ cacheBytes: 3 * 4200 });
    using view = await views.at(at(8), {});
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
    using view = await views.at(at(5), {});
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
      expect(await codeOf(views.at(at(txid), {}))).toBe("replica/unreachable-txid");
    }
    const early: ViewTarget = { kind: "time", beforeMs: 1_700_000_000_000 };
    expect(await codeOf(views.at(early, {}))).toBe("replica/unreachable-time");
    using newest = await views.at({ kind: "time", beforeMs: Date.now() + 1e12 }, {});
    expect(newest.txid).toBe(8n);
  });

  it("takes what a manifest says in place of listing and headers", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, [{ level: 9, min: 1, max: 10 }]);
    const listed = await Array.fromAsync(replica.inner.list({ prefix: "ltx/" }));
    const { sizeBytes, etag, key } = listed[0] ?? { sizeBytes: 0, etag: "", key: "" };
    const timestampMs = 1000;
    const inside = { pageSize: 4096, commit: 8, timestampMs, indexSizeBytes: 60 };
    const txids = { level: 9, minTxid: toTxid(1), maxTxid: toTxid(10) };
    const file = { ...txids, sizeBytes, etag, key, timestampMs, isExactTime: true, inside };
    await using views = await replica.open({ list: async () => [file] });
    using view = views.newest();
    expect(Buffer.compare(await readAll(view), history.databaseAt(10))).toBe(0);
    expect(replica.calls.map(({ operation }) => operation)).toEqual(["get"]);
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

  it("reads from the persistent cache after it was opened anew, and not what is damaged there", async () => {
    const history = sampleHistory();
    const replica = new ViewReplica();
    await replica.putHistory(history, [{ level: 9, min: 1, max: 3 }]);
    const persistent = new MemoryFrames({ capacityBytes: 100_000 });
    const small = { persistent, cacheBytes: 5000 };
    for (const gets of [12, 0]) {
      await using views = await replica.open(small);
      replica.takeGets();
      using view = views.newest();
      expect(Buffer.compare(await readAll(view), history.databaseAt(3))).toBe(0);
      expect(replica.takeGets().length).toBeLessThanOrEqual(gets);
    }
    const broken = {
      get: async () => new Uint8Array(40).fill(7),
      put: () => Promise.reject(new Error("disk full")),
    };
    await using views = await replica.open({ persistent: broken, cacheBytes: 5000 });
    using view = views.newest();
    expect(Buffer.compare(await readAll(view), history.databaseAt(3))).toBe(0);
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

/** A file of a database of three pages: page 1 tells the TXID, the others their number. */
async function putSmall(
  replica: ViewReplica,
  range: FileRange,
  pgnos: readonly number[],
): Promise<void> {
  const txids = { minTxid: toTxid(range.min), maxTxid: toTxid(range.max) };
  const header = ltxHeader({ pageSize: 512, commit: 3, ...txids });
  const pages = new Map(
    pgnos.map((pgno) => [pgno, pageOf(512, pgno === 1 ? range.max : pgno)] as const),
  );
  await replica.put(range, await encodeWhole(codec, header, pages));
}

/** Transactions of up to 12 small pages, and merged files of levels 1 to 9. */
function randomHistory(): fc.Arbitrary<{
  readonly transactions: readonly Transaction[];
  readonly merges: readonly FileRange[];
}> {
  const step = fc.record({
    commit: fc.integer({ min: 1, max: 12 }),
    pgnos: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 5 }),
  });
  const merge = fc.tuple(
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 0, max: 6 }),
    fc.integer({ min: 1, max: 8 }),
  );
  return fc
    .tuple(fc.array(step, { minLength: 2, maxLength: 12 }), fc.array(merge, { maxLength: 6 }))
    .map(([steps, sketches]) => {
      let seed = 1;
      let size = 0;
      const transactions = steps.map(({ commit, pgnos }): Transaction => {
        const grown = Array.from({ length: Math.max(0, commit - size) }, (_, n) => size + n + 1);
        const changed = [...new Set([...pgnos.filter((pgno) => pgno <= commit), ...grown])];
        size = commit;
        return { commit, pages: new Map(changed.map((pgno) => [pgno, pageOf(512, seed++)])) };
      });
      const merges = sketches
        .map(([min, more, level]) => ({ level: min === 1 ? 9 : level, min, max: min + more }))
        .filter(({ max }) => max <= steps.length);
      return { transactions, merges };
    });
}
