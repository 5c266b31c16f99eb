// SQLite in a thread that sleeps for its pages, and in this thread, suspended for them, over databases in memory: what a
// replica's store does has its own tests.
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryPages } from "../../../test/support/memory-pages.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { until } from "../../../test/support/until.ts";
import { waSqlite } from "../../../test/support/wa-sqlite.ts";
import { systemEnvironment } from "../../node/restore/environment.ts";
import { must } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { PageMap } from "../view/page-map.ts";
import { toTxid } from "../ltx/txid.ts";
import type { SqlRow } from "./sql-values.ts";
import { PageDesk, type ParseMoment } from "./page-desk.ts";
import { ReplicaDatabase } from "./replica-database.ts";
import { refusingWrites } from "./refuse-write.ts";
import { SqliteClient } from "./sqlite-client.ts";
import { SuspendingClient } from "./suspending-client.ts";
import { loadWaSqlite } from "./wa-sqlite-module.ts";
import { startSqliteThread } from "../../node/vfs/start-thread.ts";

const pageSize = 4096;
const states = databaseStates(pageSize);

const refuseWrite = async (): Promise<HeadwaterError> =>
  new HeadwaterError("query/read-only", "Write elsewhere.");

const parseMoment: ParseMoment = ({ at, txid }) =>
  txid === undefined
    ? { kind: "time", beforeMs: Number(at) }
    : { kind: "txid", txid: toTxid(Number(txid)) };

type Client = Pick<SqliteClient, "ask" | typeof Symbol.asyncDispose> & {
  readonly current: () => PageMap;
};

const clients: Readonly<Record<string, () => Promise<Client>>> = {
  "asleep in a thread": async () => {
    const desk = new PageDesk(pages, parseMoment);
    const client = new SqliteClient(startSqliteThread(), desk, { name: "app" });
    return {
      current: () => desk.current,
      ask: (request, waiting) => client.ask(request, waiting),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
  suspended: async () => {
    const { clock } = systemEnvironment();
    const module = await loadWaSqlite(waSqlite);
    const options = { name: "app", pages, parseMoment, clock, giveTurn: nextTurn };
    const client = new SuspendingClient(module, options);
    return {
      current: () => client.current,
      ask: (request, waiting) => client.ask(request, waiting),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
};

let pages: MemoryPages;
let db: ReplicaDatabase;
async function open(
  way: keyof typeof clients,
  options: { readonly cacheBytes?: number } = {},
): Promise<void> {
  pages = new MemoryPages(states, { pageSize, ...options });
  pages.head = 2;
  pages.txid = toTxid(2);
  const client = await must(clients[way], way)();
  db = new ReplicaDatabase({
    name: "app",
    current: client.current,
    ask: refusingWrites(client.ask, refuseWrite),
    refresh: () => pages.refresh(),
    close: () => client[Symbol.asyncDispose](),
  });
}

async function all(sql: string, parameters: readonly (string | number)[] = []): Promise<SqlRow[]> {
  return Array.fromAsync(db.query(sql, parameters));
}

const countSql = "SELECT count(*) AS n FROM t";
const endless =
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

describe.each(Object.keys(clients))("SQLite %s", (way) => {
  beforeEach(() => open(way));
  afterEach(() => db[Symbol.asyncDispose]());

  describe("an open replica", () => {
    it("gives rows as objects and streams more than a batch holds", async () => {
      expect(await all("SELECT id, text, NULL AS x FROM t WHERE id = ?", [7])).toEqual([
        { id: 7, text: "row 7", x: null },
      ]);
      const [odd] = await all('SELECT 1 AS "__proto__"');
      expect(Object.keys(odd ?? {})).toEqual(["__proto__"]);
      const ids = await all("SELECT a.id FROM t a, t b WHERE b.id < 10 ORDER BY a.id, b.id");
      expect(ids).toHaveLength(401 * 9);
      expect(ids.at(-1)).toEqual({ id: 9000 });
    });

    it("reads through a cache far smaller than the database", async () => {
      await db[Symbol.asyncDispose]();
      await open(way, { cacheBytes: 3 * (pageSize + 19) });
      expect(await all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      expect(pages.cache.slotCount).toBe(3);
    });

    it("says once of each marked page that it was read, also of one that it waited for", async () => {
      pages.isMarked = () => true;
      await all("SELECT sum(length(body)) FROM t");
      await all("SELECT sum(length(body)) FROM t");
      expect(pages.touched).toHaveLength(pages.fetched);
      expect(new Set(pages.touched).size).toBe(pages.fetched);
    });

    it("runs a statement again with other parameters, from its first row, and by the schema of now", async () => {
      const sql = "SELECT id FROM t WHERE id > ? LIMIT 3000";
      for (const [above, first] of [
        [7, 8],
        [3, 4],
      ] as const) {
        // Left early.
        for await (const { id } of db.query(sql, [above])) {
          expect(id).toBe(first);
          break;
        }
      }
      await expect(all(sql, [1, 2])).rejects.toThrow("1 parameters");
      expect(await all(sql, [8999])).toEqual([{ id: 9000 }]);
      await Array.fromAsync(db.batches("CREATE TEMP TABLE s(a); INSERT INTO s VALUES(7)"));
      expect(await all("SELECT * FROM s")).toEqual([{ a: 7 }]);
      await Array.fromAsync(db.batches("ALTER TABLE s ADD COLUMN b DEFAULT 8"));
      expect(await all("SELECT * FROM s")).toEqual([{ a: 7, b: 8 }]);
      await all("DROP TABLE s");
      await expect(all("SELECT * FROM s")).rejects.toThrow("no such table");
    });

    it("sees a newer state after refresh, and not while a snapshot is held", async () => {
      pages.head = 3;
      expect(await all(countSql)).toEqual([{ n: 401 }]);
      await all("BEGIN");
      await all(countSql);
      expect(await db.refresh()).toBe(2n);
      expect(await all(countSql)).toEqual([{ n: 401 }]);
      expect(await all("SELECT count(*) AS n FROM t NOT INDEXED")).toEqual([{ n: 401 }]);
      await all("COMMIT");
      expect(db.txid).toBe(3n);
      expect(await all(countSql)).toEqual([{ n: 57 }]);
      expect(db.timestampMs).toBe(3000);
    });

    it("holds the snapshot of a query that is still being read", async () => {
      const query = db.query("SELECT id FROM t a, (SELECT 1 FROM t LIMIT 100)");
      const rows = query[Symbol.asyncIterator]();
      await rows.next();
      pages.head = 3;
      await db.refresh();
      expect(await all(countSql)).toEqual([{ n: 401 }]);
      await rows.return?.();
      expect(await all(countSql)).toEqual([{ n: 57 }]);
    });

    it("lets go of views that nobody reads any more", async () => {
      await all("ATTACH 'file:app?txid=1' AS past");
      pages.head = 4;
      await db.refresh();
      await all(countSql);
      expect(pages.released).toEqual([2n]);
      await all("DETACH past");
      expect(pages.released).toEqual([2n, 1n]);
    });

    it("lets go of newer states that no query has seen", async () => {
      for (pages.head of [3, 4, 3]) await db.refresh();
      expect(pages.released).toEqual([2n, 3n, 4n]);
      expect(await all(countSql)).toEqual([{ n: 57 }]);
      for (pages.head of [4, 3]) await db.refresh();
      await all(countSql);
      expect(pages.released).toEqual([2n, 3n, 4n, 4n, 3n]);
    });

    it("goes on when the pages of its view have moved to other files", async () => {
      await all("BEGIN");
      expect(await all(countSql)).toEqual([{ n: 401 }]);
      pages.place = 1;
      expect(await all("SELECT sum(length(body)) > 0 AS n FROM t")).toEqual([{ n: 1 }]);
      const { fetched } = pages;
      await all("COMMIT");
      pages.place = 2;
      expect(await all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      expect(pages.fetched).toBeGreaterThan(fetched);
      expect(pages.released).toEqual([]);
    });

    it("joins two moments in one statement", async () => {
      pages.head = 4;
      await db.refresh();
      await all("ATTACH 'file:app?at=2001' AS past");
      const sql = "SELECT count(*) AS n FROM past.t WHERE id NOT IN (SELECT id FROM main.t)";
      expect(await all(sql)).toEqual([{ n: 344 }]);
    });

    it("holds one snapshot for all names of the newest state", async () => {
      await all("ATTACH 'file:app' AS again");
      await all("BEGIN");
      expect(await all(countSql)).toEqual([{ n: 401 }]);
      pages.head = 3;
      await db.refresh();
      expect(await all("SELECT count(*) AS n FROM again.t")).toEqual([{ n: 401 }]);
      await all("COMMIT");
      expect(await all("SELECT count(*) AS n FROM again.t")).toEqual([{ n: 57 }]);
    });

    it("tells why a moment cannot be attached", async () => {
      await expect(all("ATTACH 'file:app?txid=9' AS past")).rejects.toThrow(
        expect.objectContaining({ code: "replica/unreachable-txid" }),
      );
      await expect(all("ATTACH 'file:other?txid=1' AS past")).rejects.toThrow("There is no file");
      expect(await all(countSql)).toEqual([{ n: 401 }]);
    });

    it("serves queries that run side by side, each with its own rows", async () => {
      const sql = "SELECT a.id FROM t a, t b WHERE b.id < 10 AND a.id % 3 = ? ORDER BY a.id, b.id";
      const found = await Promise.all([0, 1, 2].map((rest) => all(sql, [rest])));
      expect(found.map((rows) => rows.length)).toEqual([134 * 9, 134 * 9, 133 * 9]);
      for (const [rest, rows] of found.entries()) {
        expect(rows.every(({ id }) => Number(id) % 3 === rest)).toBe(true);
      }
    });

    it("takes one statement in query and any number in batches", async () => {
      expect(await all("SELECT 1 AS one; -- and no more")).toEqual([{ one: 1 }]);
      await expect(all("SELECT 1; SELECT 2")).rejects.toThrow("second statement");
      const script =
        "CREATE TEMP TABLE s(a); INSERT INTO s VALUES(7),(8); SELECT a FROM s; SELECT a FROM s WHERE 0;";
      const batches = await Array.fromAsync(db.batches(script));
      expect(batches).toEqual([
        { statement: 0, columns: [], rows: [], isLast: true },
        { statement: 1, columns: [], rows: [], isLast: true },
        { statement: 2, columns: ["a"], rows: [[7], [8]], isLast: true },
        { statement: 3, columns: ["a"], rows: [], isLast: true },
      ]);
      expect(await all("")).toEqual([]);
    });
  });

  describe("a query that is cancelled", () => {
    it("stops while SQLite calculates", async () => {
      const abort = new AbortController();
      const running = Array.fromAsync(db.query(endless, [], abort));
      running.catch(() => undefined);
      abort.abort(new Error("enough"));
      await expect(running).rejects.toThrow("enough");
      expect(await all(countSql)).toEqual([{ n: 401 }]);
    });

    it("stops while it waits for a page", async () => {
      const abort = new AbortController();
      pages.beforeFetch = async (_, { signal }) => {
        abort.abort(new Error("enough"));
        await new Promise((_resolve, reject) => {
          if (signal?.aborted === true) reject(signal.reason);
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      };
      await expect(Array.fromAsync(db.query(countSql, [], abort))).rejects.toThrow("enough");
      pages.beforeFetch = () => undefined;
      expect(await all(countSql)).toEqual([{ n: 401 }]);
    });

    it("leaves the transaction that it is in, and its snapshot", async () => {
      await all("BEGIN");
      await all(countSql);
      const abort = new AbortController();
      pages.beforeFetch = (_, { signal }) => {
        abort.abort(new Error("enough"));
        signal?.throwIfAborted();
      };
      const scan = "SELECT sum(length(body)) AS n FROM t";
      await expect(Array.fromAsync(db.query(scan, [], abort))).rejects.toThrow("enough");
      pages.beforeFetch = () => undefined;
      pages.head = 3;
      await db.refresh();
      expect(await all("SELECT count(body) AS n FROM t")).toEqual([{ n: 401 }]);
      await all("COMMIT");
      expect(await all(countSql)).toEqual([{ n: 57 }]);
    });

    it("does not run if it is cancelled before its turn", async () => {
      const abort = new AbortController();
      abort.abort(new Error("never"));
      await expect(Array.fromAsync(db.query(countSql, [], abort))).rejects.toThrow("never");
      expect(pages.fetched).toBe(0);
    });
  });

  describe("failure", () => {
    it("of the store reaches the query as it is, and the next query works", async () => {
      const failure = new HeadwaterError("store/unavailable", "the store is away");
      pages.beforeFetch = () => {
        throw failure;
      };
      await expect(all(countSql)).rejects.toBe(failure);
      pages.beforeFetch = () => undefined;
      expect(await all(countSql)).toEqual([{ n: 401 }]);
    });

    it("to write says that it is a replica", async () => {
      await expect(all("DELETE FROM t")).rejects.toThrow(
        expect.objectContaining({
          code: "query/read-only",
          message: expect.stringContaining("elsewhere"),
        }),
      );
    });

    it("to send a parameter has a code, and the newer state is not lost with it", async () => {
      pages.head = 3;
      await db.refresh();
      const unsendable = Object.assign([], { 0: () => 1 });
      await expect(Array.fromAsync(db.query("SELECT ?", unsendable))).rejects.toThrow(
        expect.objectContaining({ code: "usage/invalid" }),
      );
      expect(await all(countSql)).toEqual([{ n: 57 }]);
    });

    it("to hold a text that is longer than JavaScript can hold has a code", async () => {
      await expect(all("SELECT printf('%.*c', 600000000, 'x')")).rejects.toThrow(
        expect.objectContaining({ code: "query/sql" }),
      );
    });

    it("of a statement or a parameter is told with its code", async () => {
      await expect(all("SELEC 1")).rejects.toThrow(expect.objectContaining({ code: "query/sql" }));
      await expect(all("SELECT ?")).rejects.toThrow(
        expect.objectContaining({ code: "usage/invalid" }),
      );
    });
  });

  describe("closing", () => {
    it("ends what is running and refuses what comes after", async () => {
      const running = all(endless);
      running.catch(() => undefined);
      await db[Symbol.asyncDispose]();
      await expect(running).rejects.toThrow(expect.objectContaining({ code: "query/closed" }));
      await expect(all("SELECT 1")).rejects.toThrow(
        expect.objectContaining({ code: "query/closed" }),
      );
    });

    it("ends a query that waits for a page", async () => {
      pages.beforeFetch = (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      const running = all(countSql);
      running.catch(() => undefined);
      await until(() => pages.fetched > 0);
      await db[Symbol.asyncDispose]();
      await expect(running).rejects.toThrow(expect.objectContaining({ code: "query/closed" }));
    });

    it("releases every view, and may happen twice", async () => {
      await all("ATTACH 'file:app?txid=1' AS past");
      await db[Symbol.asyncDispose]();
      await db[Symbol.asyncDispose]();
      expect(new Set(pages.released)).toEqual(new Set([1n, 2n]));
    });
  });
});

describe("SQLite suspended", () => {
  beforeEach(() => open("suspended"));
  afterEach(() => db[Symbol.asyncDispose]());

  it("lets its thread go on while it waits for a page, and while it calculates", async () => {
    const fetching = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    pages.beforeFetch = async () => {
      fetching.resolve();
      await arrived.promise;
    };
    const counting = all(countSql);
    await fetching.promise;
    arrived.resolve();
    expect(await counting).toEqual([{ n: 401 }]);
    const abort = new AbortController();
    const running = Array.fromAsync(db.query(endless, [], abort));
    running.catch(() => undefined);
    // Turns that SQLite has to give.
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
  });

  it("sorts more than fits its memory for pages, without files", async () => {
    const sql =
      "SELECT count(*) AS n FROM (SELECT a.body FROM t a, t b WHERE b.id < 40 ORDER BY a.body)";
    await all("PRAGMA cache_size = 10");
    expect(await all(sql)).toEqual([{ n: 401 * 39 }]);
  });

  it.each([
    0,
    -1,
    2 ** 31,
    2 ** 53 - 1,
    0.5,
    -Infinity,
    2n ** 53n,
    -(2n ** 63n),
    2n ** 63n - 1n,
    "",
    "caf\u00e9 \u{1f600}\0x",
    "\ufeffmark",
    null,
    new Uint8Array(0),
    new Uint8Array([0, 255, 0]),
  ])("takes the value %s in and gives it back", async (value) => {
    expect(await Array.fromAsync(db.query("SELECT ? AS v", [value]))).toEqual([{ v: value }]);
    expect(await Array.fromAsync(db.query("SELECT :v AS v", { v: value }))).toEqual([{ v: value }]);
  });

  it("has a clock, randomness and full-text search", async () => {
    const sql =
      "SELECT abs(julianday('now') - julianday(?, 'unixepoch')) < 1 AS near, random() = random() AS same";
    expect(await all(sql, [Date.now() / 1000])).toEqual([{ near: 1, same: 0 }]);
    await all("CREATE VIRTUAL TABLE temp.words USING fts5(w)");
    await all("INSERT INTO words VALUES('one fish'), ('two fish')");
    expect(await all("SELECT count(*) AS n FROM words WHERE words MATCH 'fish'")).toEqual([
      { n: 2 },
    ]);
  });
});
