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
import {
  ViewReplica,
  atTxid,
  codeOf,
  readAll,
  singles,
} from "../../../test/support/view-replica.ts";
import { toTxid } from "../ltx/txid.ts";
import { MemoryFrames } from "./persistent-frames.ts";
import type { ReplicaViews, ViewTarget } from "./replica-views.ts";

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function bytesAt(views: ReplicaViews, target: ViewTarget): Promise<Uint8Array> {
  using view = await views.at(target, {});
  return await readAll(view);
}

describe.each(goldenSetNames())("golden set %s", (name) => {
  const set = readGoldenSet(name);

  it("reads every recorded TXID and time page by page as it was recorded", async () => {
    const replica = new ViewReplica();
    await replica.putGolden(set);
    await using views = await replica.open();
    for (const { txid, sha256 } of set.restores) {
      if (sha256 === undefined) {
        expect(await codeOf(bytesAt(views, atTxid(txid)))).toBe("replica/unreachable-txid");
      } else {
        expect(`${txid} ${hash(await bytesAt(views, atTxid(txid)))}`).toBe(`${txid} ${sha256}`);
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
      const found = await bytesAt(views, atTxid(txid));
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
          const found = await bytesAt(views, atTxid(txid));
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
});

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
