// Views of a replica whose primary also pushes: ahead of the store, and back on it.
import { beforeEach, describe, expect, it } from "vitest";
import { ReplicaHistory, pageOf, sampleHistory } from "../../../test/support/replica-builder.ts";
import {
  ViewReplica,
  atTxid,
  codeOf,
  readAll,
  singles,
} from "../../../test/support/view-replica.ts";
import { PushedFiles, receiveFile } from "../push/pushed-files.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { ReplicaViews } from "./replica-views.ts";

/** Another history with the same transactions before `from`. */
function otherHistory(history: ReplicaHistory, from: number): ReplicaHistory {
  const transactions = Array.from({ length: 10 }, (_, n) => ({
    commit: history.commitAt(n + 1),
    pages: new Map(
      [...history.pagesAt(n + 1)].map(([pgno, page]) => [
        pgno,
        n + 1 < from ? page : pageOf(history.pageSize, 1000 * (n + 1) + pgno),
      ]),
    ),
  }));
  return new ReplicaHistory(history.pageSize, transactions);
}

describe("ReplicaViews with a primary that pushes", () => {
  const history = sampleHistory();
  let replica = new ViewReplica();
  let pushed = new PushedFiles();

  beforeEach(() => {
    replica = new ViewReplica();
    pushed = new PushedFiles();
  });

  async function open(through: number, cacheBytes = 4_000_000): Promise<ReplicaViews> {
    await replica.putHistory(history, singles(1, through));
    const { codec } = history;
    const store = pushed.over(replica.store);
    const options = { store, layout: litestreamLayout, codec, cacheBytes, pushed };
    return ReplicaViews.open(options, {});
  }

  async function push(
    views: ReplicaViews,
    from: number,
    to = from,
    by = history,
  ): Promise<boolean> {
    for (let txid = from; txid <= to; txid++) {
      const bytes = await by.fileOf({ min: txid, max: txid });
      pushed.add(await receiveFile(history.codec, bytes));
    }
    return views.takePushed({});
  }

  async function expectAt(views: ReplicaViews, txid: number, by = history): Promise<void> {
    expect(views.txid).toBe(BigInt(txid));
    using view = views.newest();
    expect(Buffer.compare(await readAll(view), by.databaseAt(txid))).toBe(0);
  }

  it("are at what was pushed at once, without a request", async () => {
    await using views = await open(4);
    await expectAt(views, 4);
    replica.calls.length = 0;
    expect(await push(views, 5)).toBe(true);
    expect(await push(views, 6, 8)).toBe(true);
    expect(replica.calls).toEqual([]);
    await expectAt(views, 8);
    using past = await views.at(atTxid(6), {});
    expect(Buffer.compare(await readAll(past), history.databaseAt(6))).toBe(0);
  });

  it("stay there while the store is behind, and let go of what it has caught up with", async () => {
    await using views = await open(4);
    await push(views, 5, 9);
    expect(await views.refresh({})).toBe(false);
    await expectAt(views, 9);
    await replica.putHistory(history, singles(5, 7));
    expect(await views.refresh({})).toBe(false);
    await expectAt(views, 9);
    expect(pushed.files.map(({ file }) => Number(file.maxTxid))).toEqual([8, 9]);
    // As a replicator uploads what it has staged between two uploads.
    await replica.putHistory(history, [
      { level: 0, min: 8, max: 9 },
      { level: 0, min: 10, max: 10 },
    ]);
    expect(await views.refresh({})).toBe(true);
    await expectAt(views, 10);
    expect(pushed.sizeBytes).toBe(0);
  });

  it("keep what was pushed for as long as a reader needs it, also where the store never has that TXID", async () => {
    await using views = await open(4, 1_000_000);
    await push(views, 5, 6);
    const six = views.newest();
    await push(views, 7);
    await replica.putHistory(history, [
      { level: 0, min: 5, max: 7 },
      { level: 0, min: 8, max: 8 },
    ]);
    expect(await views.refresh({})).toBe(true);
    await expectAt(views, 8);
    expect(Buffer.compare(await readAll(six), history.databaseAt(6))).toBe(0);
    six[Symbol.dispose]();
    expect(pushed.sizeBytes).toBe(0);
  });

  it("plan the same TXID again when files under what was pushed are merged and deleted", async () => {
    await using views = await open(4);
    await push(views, 5, 6);
    using view = views.newest();
    await replica.putHistory(history, [{ level: 1, min: 1, max: 4 }]);
    await replica.delete(...singles(1, 4));
    expect(Buffer.compare(await readAll(view), history.databaseAt(6))).toBe(0);
  });

  it("do not take a file that does not continue what they have", async () => {
    await using views = await open(4);
    expect(await push(views, 6)).toBe(false);
    await expectAt(views, 4);
    expect(await push(views, 5)).toBe(true);
    await expectAt(views, 6);
  });

  it("go back to the replica when it has another history, and SQLite sees that", async () => {
    await using views = await open(4);
    await push(views, 5, 7);
    const { generation } = views;
    using old = views.newest();
    const other = otherHistory(history, 5);
    await replica.putHistory(other, singles(5, 5));
    expect(await views.refresh({})).toBe(true);
    await expectAt(views, 5, other);
    await replica.putHistory(other, singles(6, 7));
    expect(await views.refresh({})).toBe(true);
    await expectAt(views, 7, other);
    // The same TXID with other pages: the counter in page 1 must not be that of before.
    expect(views.generation).not.toBe(generation);
    expect(Buffer.compare(await readAll(old), history.databaseAt(7))).toBe(0);
  });

  it("go back when the replica has another file of the TXID that was pushed", async () => {
    await using views = await open(4);
    await push(views, 5);
    const other = otherHistory(history, 5);
    await replica.putHistory(other, singles(5, 5));
    const { generation } = views;
    expect(await views.refresh({})).toBe(true);
    expect(views.generation).not.toBe(generation);
    await expectAt(views, 5, other);
    expect(await push(views, 6)).toBe(false);
    await expectAt(views, 5, other);
  });

  it("go back when the primary says that it has another history", async () => {
    await using views = await open(4);
    await push(views, 5, 6);
    await views.leavePushed({});
    await expectAt(views, 4);
    expect(pushed.sizeBytes).toBe(0);
    expect(await codeOf(views.at(atTxid(6), {}))).toBe("replica/unreachable-txid");
    // It may be the same again, also while somebody reads what was left.
    await push(views, 5);
    using view = views.newest();
    await views.leavePushed({});
    await expectAt(views, 4);
    expect(await push(views, 5, 6)).toBe(true);
    await expectAt(views, 6);
    expect(Buffer.compare(await readAll(view), history.databaseAt(5))).toBe(0);
  });

  it("take no more than there is room for", async () => {
    const sizes = await Promise.all(
      singles(5, 6).map(async (range) => (await history.fileOf(range)).length),
    );
    pushed = new PushedFiles({ maxBytes: Math.max(...sizes) });
    await using views = await open(4);
    await push(views, 5, 6);
    await expectAt(views, 5);
    await replica.putHistory(history, singles(5, 5));
    await views.refresh({});
    expect(await push(views, 6)).toBe(true);
    await expectAt(views, 6);
  });
});
