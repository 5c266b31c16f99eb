// What goes wrong while a replica is read, and the bugs of Litestream's VFS that a reader can meet (0.5.17): each named one
// is a test here.
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hasCode } from "../../src/core/base/errors.ts";
import type { ErrorCode } from "../../src/core/base/errors.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import type { StoreCall } from "../../src/core/testing/faulty-store.ts";
import { VirtualClock } from "../../src/core/testing/virtual-clock.ts";
import type { OpenReplicaOptions } from "../../src/node/vfs/open-replica.ts";
import type { ReplicaDatabase } from "../../src/core/vfs/replica-database.ts";
import type { FileRange, ReplicaHistory } from "../support/replica-builder.ts";
import { all, openStore, valueOf } from "../support/replica-queries.ts";
import { databaseStates, historyOf } from "../support/sqlite-history.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { until } from "../support/until.ts";
import { ViewReplica } from "../support/view-replica.ts";

const pageSize = 4096;
const history: ReplicaHistory = historyOf(databaseStates(pageSize), pageSize);
const countSql = "SELECT count(*) FROM t";
/** Rows at each TXID. */
const counts = [0, 401, 57, 114];

const largeRows = 3000;

/** 12 MB: more than is fetched ahead of a query that stops at its first row. */
function largeDatabase(): Uint8Array {
  using directory = temporaryDirectory();
  const path = directory.file("large.db");
  using db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${largeRows})
    INSERT INTO t SELECT i, randomblob(3500) FROM n`);
  return readFileSync(path);
}
const large = largeDatabase();
const sumSql = "SELECT sum(length(body)) FROM t";

let replica: ViewReplica;
const opened: ReplicaDatabase[] = [];
beforeEach(() => {
  replica = new ViewReplica();
});
afterEach(async () => {
  for (const db of opened.splice(0)) await db[Symbol.asyncDispose]();
});

async function open(
  options: OpenReplicaOptions = {},
  clock?: VirtualClock,
): Promise<ReplicaDatabase> {
  const db = await openStore(replica.store, options, clock);
  opened.push(db);
  return db;
}

function level0(...txids: readonly number[]): readonly FileRange[] {
  return txids.map((txid) => ({ level: 0, min: txid, max: txid }));
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "ok",
    (error: unknown) =>
      error instanceof Error && "code" in error ? String(error.code) : String(error),
  );
}

describe("files that go while they are read", () => {
  it("read on at the same TXID when a snapshot's files were merged and deleted", async () => {
    await replica.putHistory(history, level0(1, 2));
    const db = await open();
    await all(db, "BEGIN");
    expect(await valueOf(db, countSql)).toBe(401);
    await replica.putHistory(history, [{ level: 9, min: 1, max: 2 }, ...level0(3)]);
    await replica.delete(...level0(1, 2));
    await db.refresh();
    expect(await valueOf(db, "SELECT count(*) FROM t NOT INDEXED")).toBe(401);
    expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");
    expect(db.txid).toBe(2n);
    await all(db, "COMMIT");
    expect(await valueOf(db, countSql)).toBe(57);
  });

  it("say that the snapshot is too old when no files make it any more, and go on with the newest", async () => {
    await replica.putDatabase(large, pageSize);
    const db = await open();
    await all(db, "BEGIN");
    await valueOf(db, "SELECT 1 FROM t LIMIT 1");
    const two: FileRange = { level: 9, min: 1, max: 2 };
    await replica.put(two, await history.fileOf(two));
    await replica.delete({ level: 9, min: 1, max: 1 });
    expect(await codeOf(valueOf(db, sumSql))).toBe("view/too-old");
    // As after any failure to read, SQLite has ended the transaction.
    await expect(all(db, "COMMIT")).rejects.toThrow("no transaction is active");
    expect(await db.refresh()).toBe(2n);
    expect(await valueOf(db, countSql)).toBe(401);
  });

  it("say so when the whole replica is deleted, and never wait for it", async () => {
    await replica.putDatabase(large, pageSize);
    const db = await open();
    await valueOf(db, "SELECT 1 FROM t LIMIT 1");
    await replica.delete({ level: 9, min: 1, max: 1 });
    expect(await codeOf(valueOf(db, sumSql))).toBe("view/too-old");
    expect(await codeOf(db.refresh())).toMatch(/^replica[/](?:empty|gap)$/u);
  });
});

describe("a store that fails", () => {
  it("gives the query its error, once it is back the next query works", async () => {
    await replica.putDatabase(large, pageSize);
    const db = await open();
    replica.fault = () => ({ kind: "fail" });
    expect(await codeOf(valueOf(db, sumSql))).toBe("store/unavailable");
    replica.fault = () => undefined;
    expect(await valueOf(db, "SELECT count(body) FROM t")).toBe(largeRows);
  });

  it("that hangs lets a query be cancelled, and the replica be closed", async () => {
    await replica.putDatabase(large, pageSize);
    const db = await open();
    const gets: StoreCall[] = [];
    replica.fault = (call) => {
      gets.push(call);
      return { kind: "delay", ms: 1e9 };
    };
    const abort = new AbortController();
    const cancelled = codeOf(Array.fromAsync(db.query(sumSql, [], abort)));
    await until(() => gets.length > 0);
    abort.abort(new Error("enough"));
    expect(await cancelled).toBe("Error: enough");
    const closed = codeOf(valueOf(db, sumSql));
    await db[Symbol.asyncDispose]();
    expect(await closed).toBe("query/closed");
  });
});

describe("following", () => {
  it("shows what is new, asks at most once a second, less often while nothing changes, and outlives failure", async () => {
    await replica.putHistory(history, level0(1, 2));
    const clock = new VirtualClock();
    const db = await open({ follow: true }, clock);
    expect(await valueOf(db, countSql)).toBe(401);
    const looksIn = async (ms: number): Promise<number> => {
      replica.calls.length = 0;
      await clock.advance(ms);
      return replica.calls.filter(
        ({ operation, key }) => operation === "head" || (operation === "list" && key === "ltx/"),
      ).length;
    };
    await until(() => clock.sleeperCount > 0);
    expect(await looksIn(999)).toBe(0);
    await replica.putHistory(history, level0(3));
    await clock.advance(1);
    await until(() => db.txid === 3n);
    expect(await valueOf(db, countSql)).toBe(57);

    replica.fault = () => ({ kind: "fail" });
    for (let second = 0; second < 60; second++) {
      await until(() => clock.sleeperCount > 0);
      expect(await looksIn(1000)).toBeLessThanOrEqual(1);
    }
    replica.fault = () => undefined;
    await replica.putHistory(history, level0(4));
    for (let second = 0; db.txid !== 4n && second < 20; second++) {
      await until(() => clock.sleeperCount > 0);
      await clock.advance(1000);
    }
    await until(() => db.txid === 4n);
    expect(await valueOf(db, countSql)).toBe(counts[3]);
  });

  it("asks for the next file by its name, lists once a minute, and finds then what was merged", async () => {
    await replica.putHistory(history, level0(1, 2));
    const clock = new VirtualClock();
    const db = await open({ follow: true }, clock);
    const lists = (): number =>
      replica.calls.filter(({ operation }) => operation === "list").length;
    await until(() => clock.sleeperCount > 0);
    replica.calls.length = 0;
    await replica.putHistory(history, level0(3));
    await clock.advance(1000);
    await until(() => db.txid === 3n);
    expect(lists()).toBe(0);
    expect(await valueOf(db, countSql)).toBe(57);
    // Merged before it was seen: its own name never leads there.
    await replica.putHistory(history, [{ level: 1, min: 3, max: 4 }]);
    for (let second = 0; db.txid !== 4n && second < 90; second++) {
      await until(() => clock.sleeperCount > 0);
      await clock.advance(1000);
    }
    await until(() => db.txid === 4n);
    expect(lists()).toBe(2);
    expect(await valueOf(db, countSql)).toBe(counts[3]);
  });
});

describe("bugs of Litestream's VFS", () => {
  it("1: the process opens its other databases as before", async () => {
    await replica.putHistory(history, level0(1, 2));
    const db = await open();
    expect(await valueOf(db, countSql)).toBe(401);
    using other = new DatabaseSync(":memory:");
    expect(other.prepare("SELECT 7 AS n").get()).toEqual({ n: 7 });
  });

  it("2: a merged file that comes later takes nothing back", async () => {
    await replica.putHistory(history, level0(1, 2, 3, 4));
    const db = await open();
    await replica.putHistory(history, [{ level: 1, min: 2, max: 3 }]);
    await db.refresh();
    expect(db.txid).toBe(4n);
    expect(await valueOf(db, countSql)).toBe(counts[3]);
    expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");
  });

  it("3: merged files that begin before or after what is known stop nobody", async () => {
    await replica.putHistory(history, [{ level: 9, min: 1, max: 2 }]);
    const db = await open();
    await replica.putHistory(history, [{ level: 1, min: 2, max: 4 }]);
    expect(await db.refresh()).toBe(4n);
    expect(await valueOf(db, countSql)).toBe(counts[3]);
  });

  it("4: after a shrink the database has the size that was committed", async () => {
    await replica.putHistory(history, level0(1, 2, 3));
    const db = await open();
    expect(await valueOf(db, "PRAGMA page_count")).toBe(history.commitAt(3));
    expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");
  });

  it("5: a transaction and the TXID that is told of it stay while newer states come in", async () => {
    await replica.putHistory(history, level0(1, 2));
    const db = await open();
    await all(db, "BEGIN");
    for (const txid of [3, 4]) {
      expect(await valueOf(db, countSql)).toBe(401);
      await replica.putHistory(history, level0(txid));
      await db.refresh();
      expect(db.txid).toBe(2n);
    }
    await all(db, "COMMIT");
    expect(db.txid).toBe(4n);
    expect(await valueOf(db, countSql)).toBe(counts[3]);
  });

  it("7: an empty replica is an error, not a wait without end", async () => {
    const failure = open();
    await expect(failure).rejects.toSatisfy((error) => hasCode(error, "replica/empty"));
  });

  it("8: lookups of what was read already make no request, whatever the number of transactions", async () => {
    await replica.putHistory(history, level0(1, 2));
    const db = await open();
    const lookup = (id: number): Promise<unknown> =>
      valueOf(db, "SELECT text FROM t WHERE id = ?", [id]);
    for (let id = 1; id <= 400; id++) await lookup(id);
    replica.calls.length = 0;
    for (let id = 1; id <= 400; id++) expect(await lookup(id)).toBe(`row ${id}`);
    expect(replica.calls).toEqual([]);
  });
});

it("opens a moment before a hole in the history", async () => {
  await replica.putHistory(history, level0(1, 2, 4));
  expect(await codeOf(open())).toBe("replica/gap");
  const db = await open({ txid: toTxid(2) });
  expect(await valueOf(db, countSql)).toBe(401);
  expect(await db.refresh()).toBe(2n);
});

describe("what is asked for and cannot be", () => {
  const wrong: readonly (readonly [OpenReplicaOptions, ErrorCode])[] = [
    [{ at: "sometime" }, "usage/invalid"],
    [{ at: new Date(Number.NaN) }, "usage/invalid"],
    [{ at: "now", txid: toTxid(1) }, "usage/invalid"],
    [{ at: "now", follow: true }, "usage/invalid"],
    [{ cacheBytes: 1000 }, "usage/invalid"],
    [{ txid: toTxid(9) }, "replica/unreachable-txid"],
    [{ at: new Date(1000) }, "replica/unreachable-time"],
  ];
  it.each(wrong)("%#: is refused with its code", async (options, code) => {
    await replica.putHistory(history, level0(1, 2));
    expect(await codeOf(open(options))).toBe(code);
  });

  it.each([
    ["file:app?at=sometime", "usage/invalid"],
    ["file:app?txid=12", "usage/invalid"],
    ["file:app?at=now&txid=0000000000000001", "usage/invalid"],
    ["file:app?txid=0000000000000009", "replica/unreachable-txid"],
    ["file:app?at=1999-01-01T00:00:00Z", "replica/unreachable-time"],
    ["other.db", "query/sql"],
  ])("%s in SQL is refused with its code", async (file, code) => {
    await replica.putHistory(history, level0(1, 2));
    const db = await open();
    expect(await codeOf(all(db, "ATTACH ? AS past", [file]))).toBe(code);
    expect(await valueOf(db, countSql)).toBe(401);
  });
});
