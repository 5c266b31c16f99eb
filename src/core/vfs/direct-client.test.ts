// SQLite in the thread that asks, over databases in memory: pages come while everything stands still.
import initSqlite from "@sqlite.org/sqlite-wasm";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryPages } from "../../../test/support/memory-pages.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { HeadwaterError } from "../base/errors.ts";
import { toTxid } from "../ltx/txid.ts";
import { DirectClient } from "./direct-client.ts";
import type { RowsReply } from "./protocol.ts";
import { ReplicaDatabase } from "./replica-database.ts";
import type { SqlRow } from "./sql-values.ts";

const pageSize = 4096;
const states = databaseStates(pageSize);

let pages: MemoryPages;
let client: DirectClient;
let db: ReplicaDatabase;
let isCancelled: boolean;
async function open(options: { readonly cacheBytes?: number } = {}): Promise<void> {
  pages = new MemoryPages(states, { pageSize, ...options });
  pages.head = 2;
  pages.txid = toTxid(2);
  isCancelled = false;
  client = new DirectClient(await initSqlite(), {
    name: "app",
    pages,
    parseMoment: ({ at, txid }) =>
      txid === undefined
        ? { kind: "time", beforeMs: Number(at) }
        : { kind: "txid", txid: toTxid(Number(txid)) },
    isCancelled: () => isCancelled,
  });
  db = new ReplicaDatabase({
    name: "app",
    current: () => client.current,
    ask: (request, waiting) => client.ask(request, waiting),
    refresh: () => pages.refresh(),
    close: async () => client[Symbol.dispose](),
  });
}
beforeEach(() => open());
afterEach(() => db[Symbol.asyncDispose]());

async function all(sql: string, parameters: readonly (string | number)[] = []): Promise<SqlRow[]> {
  return Array.fromAsync(db.query(sql, parameters));
}

const countSql = "SELECT count(*) AS n FROM t";
const sumSql = "SELECT sum(length(body)) > 0 AS n FROM t";
const away = new HeadwaterError("store/unavailable", "the store is away");

describe("SQLite that stands still for its pages", () => {
  it("reads whole databases through a cache of three pages", async () => {
    await open({ cacheBytes: 3 * (pageSize + 19) });
    expect(await all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
  });

  it("sees a newer state after refresh, and not while a snapshot is held", async () => {
    await all("BEGIN");
    expect(await all(countSql)).toEqual([{ n: 401 }]);
    pages.head = 3;
    expect(await db.refresh()).toBe(2n);
    expect(await all("SELECT count(*) AS n FROM t NOT INDEXED")).toEqual([{ n: 401 }]);
    await all("COMMIT");
    expect(await all(countSql)).toEqual([{ n: 57 }]);
    expect(pages.released).toEqual([2n]);
  });

  it("attaches moments, inside a transaction too, and lets go of them", async () => {
    pages.head = 4;
    await db.refresh();
    await all("BEGIN");
    await all(countSql);
    await all("ATTACH 'file:app?at=2001' AS past");
    await all("ATTACH 'file:app?txid=3' AS later");
    pages.head = 3;
    await db.refresh();
    expect(db.txid).toBe(4n);
    const sql = "SELECT (SELECT count(*) FROM past.t) AS a, (SELECT count(*) FROM later.t) AS b";
    expect(await all(sql)).toEqual([{ a: 401, b: 57 }]);
    await all("COMMIT");
    await all("DETACH past");
    await all("DETACH later");
    expect(pages.released).toEqual(expect.arrayContaining([2n, 3n, 4n]));
  });

  it("tells why a moment cannot be attached", async () => {
    await expect(all("ATTACH 'file:app?txid=9' AS past")).rejects.toThrow(
      expect.objectContaining({ code: "replica/unreachable-txid" }),
    );
    await expect(all("ATTACH 'file:other?txid=1' AS past")).rejects.toThrow("There is no file");
    expect(await all(countSql)).toEqual([{ n: 401 }]);
  });
});

describe("a page that cannot be had at once", () => {
  it("is waited for, and the statement is run again, in its transaction", async () => {
    await all("BEGIN");
    expect(await all(countSql)).toEqual([{ n: 401 }]);
    pages.place = 1;
    expect(await all(sumSql)).toEqual([{ n: 1 }]);
    pages.head = 3;
    await db.refresh();
    expect(await all("SELECT count(body) AS n FROM t")).toEqual([{ n: 401 }]);
    await all("COMMIT");
    expect(await all(countSql)).toEqual([{ n: 57 }]);
  });

  it("is waited for where the store is away for a while, and its failure told if it stays away", async () => {
    let failures = 0;
    pages.beforeFetchNow = () => {
      if (failures++ < 3) throw away;
    };
    expect(await all(sumSql)).toEqual([{ n: 1 }]);
    expect(failures).toBeGreaterThan(3);
    await open();
    pages.beforeFetchNow = () => {
      throw away;
    };
    pages.beforeFetch = () => {
      throw away;
    };
    await expect(all(sumSql)).rejects.toBe(away);
    pages.beforeFetchNow = () => undefined;
    expect(await all(sumSql)).toEqual([{ n: 1 }]);
  });

  it("fails a statement that rows were read of", async () => {
    const start = {
      kind: "start",
      sql: "SELECT id, body, zeroblob(4000) FROM t",
      parameters: [],
      isSingle: true,
    } as const;
    const first: RowsReply = await client.ask(start, {});
    expect(first.statement).toBeDefined();
    pages.place = 1;
    pages.beforeFetchNow = () => {
      throw away;
    };
    const { cache } = pages;
    for (let at = 0; at < cache.slotCount; at++) {
      cache.put({ file: 99, offset: at * pageSize, sizeBytes: 1 }, new Uint8Array(pageSize));
    }
    const next = async (): Promise<void> => {
      let reply: RowsReply = first;
      while (reply.statement !== undefined) {
        reply = await client.ask({ kind: "next", statement: reply.statement }, {});
      }
    };
    await expect(next()).rejects.toBe(away);
    pages.beforeFetchNow = () => undefined;
    expect(await all(sumSql)).toEqual([{ n: 1 }]);
  });

  it("does not run a statement again whose transaction went with it", async () => {
    await all("CREATE TEMP TABLE kept(a)");
    await all("BEGIN");
    await all("INSERT INTO kept VALUES(1)");
    pages.beforeFetchNow = () => {
      throw away;
    };
    await expect(all("INSERT INTO kept SELECT length(body) FROM t")).rejects.toBe(away);
    pages.beforeFetchNow = () => undefined;
    expect(await all("SELECT count(*) AS n FROM kept")).toEqual([{ n: 0 }]);
  });

  it("is not waited for if it is damaged", async () => {
    const damaged = new HeadwaterError("view/corrupt-page", "the page is damaged");
    pages.beforeFetchNow = () => {
      throw damaged;
    };
    await expect(all(sumSql)).rejects.toBe(damaged);
  });
});

describe("a query that is cancelled", () => {
  it("stops at the next page, and keeps its transaction", async () => {
    await all("BEGIN");
    await all(countSql);
    const abort = new AbortController();
    pages.beforeFetchNow = () => {
      isCancelled = true;
      abort.abort(new Error("enough"));
    };
    await expect(Array.fromAsync(db.query(sumSql, [], abort))).rejects.toThrow("enough");
    isCancelled = false;
    pages.beforeFetchNow = () => undefined;
    pages.head = 3;
    await db.refresh();
    expect(await all("SELECT count(body) AS n FROM t")).toEqual([{ n: 401 }]);
  });

  it("stops while it waits for what takes longer", async () => {
    const abort = new AbortController();
    pages.place = 1;
    pages.beforeFetch = (_, { signal }) => {
      abort.abort(new Error("enough"));
      signal?.throwIfAborted();
    };
    await expect(Array.fromAsync(db.query(sumSql, [], abort))).rejects.toThrow("enough");
    pages.beforeFetch = () => undefined;
    expect(await all(sumSql)).toEqual([{ n: 1 }]);
  });
});
