// What an open replica does in a browser, in every mode that has SQLite in a worker. The replica lies on another origin.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/core/base/errors.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";
import type { ReplicaDatabase } from "../../src/core/vfs/replica-database.ts";
import type { SqlParameters, SqlRow } from "../../src/core/vfs/sql-values.ts";
import { type OpenReplicaOptions, openReplica } from "../../src/web/open-replica.ts";
import { WebScene, behave, requestsEnd, takeRequests } from "./web-scene.ts";

const image = { level: 9, min: 1, max: 2 } as const;
const single = (txid: number) => ({ level: 0, min: txid, max: txid });

const countSql = "SELECT count(*) AS n FROM t";
const endlessSql =
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n";

/** Enough pages for more than one request: about 2 MB. */
const largeSteps = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT, body BLOB); CREATE INDEX by_text ON t(text)",
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
   INSERT INTO t SELECT i, 'row ' || (i * 7919 % 4000), randomblob(400) FROM n`,
];

export function describeWebReplica(options: Pick<OpenReplicaOptions, "mode" | "waSqlite">): void {
  const open = (scene: WebScene, more: OpenReplicaOptions = {}): Promise<ReplicaDatabase> =>
    openReplica(scene.url, { ...options, ...more });

  let scene: WebScene;
  beforeEach(async () => {
    scene = await WebScene.make();
    await scene.put(image, single(3));
    await scene.describe();
    await takeRequests();
  });
  afterEach(() => behave({}));

  describe("a replica on another origin", () => {
    it("is queried without a preflight", async () => {
      await using db = await open(scene);
      expect(db.name).toBe(scene.id);
      expect([db.txid, db.timestampMs]).toEqual([3n, 1_700_000_003_000]);
      expect(await all(db, countSql)).toEqual([{ n: 57 }]);
      expect(await all(db, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      const requests = await takeRequests();
      expect(requests.length).toBeGreaterThan(1);
      expect(requests.filter(({ method }) => method !== "GET")).toEqual([]);
    });

    it("takes parameters and gives values of every kind", async () => {
      await using db = await open(scene);
      const values = [9_007_199_254_740_993n, 0.5, "Grüße", Uint8Array.of(0, 255), null, true];
      const sql = "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f";
      expect(await all(db, sql, values)).toEqual([
        { a: values[0], b: 0.5, c: "Grüße", d: Uint8Array.of(0, 255), e: null, f: 1 },
      ]);
      expect(await all(db, "SELECT text FROM t WHERE id = :id", { id: 7 })).toEqual([
        { text: "row 7" },
      ]);
      const unsendable = Object.assign([], { 0: () => 1 });
      await expect(all(db, "SELECT ?", unsendable)).rejects.toThrow(code("usage/invalid"));
    });

    it("is read as it was, and two moments in one statement", async () => {
      await using past = await open(scene, { txid: toTxid(2) });
      expect(await all(past, countSql)).toEqual([{ n: 401 }]);
      await using before = await open(scene, { at: new Date(1_700_000_002_500) });
      expect(before.txid).toBe(2n);
      await using db = await open(scene);
      await all(db, "ATTACH ? AS past", [`file:${db.name}?at=2023-11-14T22:13:22.500Z`]);
      await all(db, "ATTACH ? AS same", [`file:${db.name}?txid=0000000000000002`]);
      const sql =
        "SELECT (SELECT count(*) FROM past.t) AS past, (SELECT count(*) FROM same.t) AS same, " +
        "(SELECT count(*) FROM main.t) AS now";
      expect(await all(db, sql)).toEqual([{ past: 401, same: 401, now: 57 }]);
      await expect(all(db, "ATTACH ? AS none", [`file:${db.name}?txid=9`])).rejects.toThrow(
        code("usage/invalid"),
      );
    });

    it("cannot be written", async () => {
      await using db = await open(scene);
      await expect(all(db, "DELETE FROM t")).rejects.toThrow(code("query/read-only"));
      await all(db, "CREATE TEMP TABLE own AS SELECT id FROM t");
      expect(await all(db, "SELECT count(*) AS n FROM own")).toEqual([{ n: 57 }]);
    });

    it("streams more rows than a batch, and stops when its reader does", async () => {
      await using db = await open(scene);
      const sql = "SELECT a.id FROM t a, t b ORDER BY a.id, b.id";
      expect(await all(db, sql)).toHaveLength(57 * 57);
      for await (const { id } of db.query(sql)) {
        expect(id).toBe(7);
        break;
      }
      expect(await all(db, countSql)).toEqual([{ n: 57 }]);
    });

    it("says what is wrong with a statement", async () => {
      await using db = await open(scene);
      await expect(all(db, "SELEC 1")).rejects.toThrow(code("query/sql"));
      await expect(all(db, "SELECT 1; SELECT 2")).rejects.toThrow(code("usage/invalid"));
      expect(await all(db, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    });

    it("is read through a cache smaller than itself", async () => {
      const large = await WebScene.make({ steps: largeSteps });
      await large.put(image);
      await large.describe();
      await using db = await open(large, { cacheBytes: 1024 * 1024 });
      expect(await all(db, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      const sql = "SELECT count(*) AS n, sum(length(body)) AS size FROM t";
      expect(await all(db, sql)).toEqual([{ n: 4000, size: 1_600_000 }]);
      const scan = (await takeRequests()).filter(({ range }) => range !== undefined);
      const [pages] = await all(db, "PRAGMA page_count");
      expect(scan.length).toBeLessThan(Number(pages?.["page_count"]));
    });
  });

  describe("a newer state", () => {
    it("is seen after refresh, grown and shrunk, and not while a snapshot is held", async () => {
      const grown = await WebScene.make();
      await grown.put({ level: 9, min: 1, max: 1 });
      await grown.describe();
      await using db = await open(grown);
      expect(await all(db, countSql)).toEqual([{ n: 0 }]);
      for (const [txid, n] of [
        [2, 401],
        [3, 57],
        [4, 114],
      ] as const) {
        await all(db, "BEGIN");
        const before = await all(db, countSql);
        await grown.put(single(txid));
        await grown.describe();
        await db.refresh();
        expect(await all(db, countSql)).toEqual(before);
        await all(db, "COMMIT");
        expect(await all(db, countSql)).toEqual([{ n }]);
        expect(db.txid).toBe(BigInt(txid));
        expect(await all(db, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      }
    });

    it("is followed", async () => {
      await using db = await open(scene, { follow: true });
      expect(await all(db, countSql)).toEqual([{ n: 57 }]);
      await scene.put(single(4));
      await scene.describe();
      await expect.poll(() => db.txid, { timeout: 60_000 }).toBe(4n);
      expect(await all(db, countSql)).toEqual([{ n: 114 }]);
    });

    it("is followed by push, before it is in the replica and after", async () => {
      await using db = await open(scene, { follow: true, push: scene.primary });
      expect(await all(db, countSql)).toEqual([{ n: 57 }]);
      await scene.push(single(4));
      await expect.poll(() => db.txid, { timeout: 60_000 }).toBe(4n);
      expect(await all(db, countSql)).toEqual([{ n: 114 }]);
      expect(await all(db, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      await scene.put(single(4));
      await scene.describe();
      await db.refresh();
      expect(db.txid).toBe(4n);
      expect(await all(db, countSql)).toEqual([{ n: 114 }]);
    });

    it("may lie in other files before the old one was read to its end", async () => {
      const large = await WebScene.make({ steps: largeSteps });
      await large.put({ level: 0, min: 1, max: 1 }, single(2));
      await large.describe();
      await using db = await open(large);
      await all(db, "BEGIN");
      await all(db, "SELECT body FROM t WHERE id = 1");
      await large.put(image);
      await large.describe();
      await large.remove({ level: 0, min: 1, max: 1 }, single(2));
      const sql = "SELECT count(*) AS n, sum(length(body)) AS size FROM t";
      expect(await all(db, sql)).toEqual([{ n: 4000, size: 1_600_000 }]);
      await all(db, "COMMIT");
    });
  });

  describe("a query that is cancelled", () => {
    it("does not run if that was before it", async () => {
      await using db = await open(scene);
      await takeRequests();
      const signal = AbortSignal.abort(new Error("never"));
      await expect(all(db, countSql, [], { signal })).rejects.toThrow("never");
      expect(await takeRequests()).toEqual([]);
    });

    it("stops at once, and the next one runs", async () => {
      await using db = await open(scene);
      const abort = new AbortController();
      const running = all(db, endlessSql, [], abort);
      running.catch(() => undefined);
      abort.abort(new Error("enough"));
      await expect(running).rejects.toThrow("enough");
      expect(await all(db, countSql)).toEqual([{ n: 57 }]);
    });

    it("stops while SQLite calculates, and keeps its transaction", async () => {
      await using db = await open(scene);
      await all(db, "BEGIN");
      await all(db, countSql);
      const abort = new AbortController();
      const running = all(db, endlessSql, [], abort);
      running.catch(() => undefined);
      // The server hears of nothing, so nothing tells that it runs: a call that waits behind it does.
      const behind = all(db, countSql);
      setTimeout(() => abort.abort(new Error("enough")), 300);
      await expect(running).rejects.toThrow("enough");
      expect(await behind).toEqual([{ n: 57 }]);
      await all(db, "COMMIT");
    });
  });

  describe("failure", () => {
    it("of a page that is damaged is told by its name, and other pages are read", async () => {
      const large = await WebScene.make({ steps: largeSteps });
      await large.put(image);
      await large.describe();
      await large.damagePages(image, [300, 301, 302, 303]);
      await using db = await open(large);
      const sum = all(db, "SELECT sum(length(body)) AS n FROM t");
      await expect(sum).rejects.toThrow(code("view/corrupt-page"));
      expect(await all(db, "SELECT length(body) AS n FROM t WHERE id = 2")).toEqual([{ n: 400 }]);
    });

    it("of a connection that breaks off is met again by trying again", async () => {
      const large = await WebScene.make({ steps: largeSteps });
      await large.put(image);
      await large.describe();
      await using db = await open(large);
      await all(db, "SELECT body FROM t WHERE id = 1");
      await behave({ cut: { suffix: ".ltx", afterBytes: 100 } });
      const sum = all(db, "SELECT sum(length(body)) AS n FROM t");
      let asked = 0;
      const cut = async (): Promise<number> => (asked += (await takeRequests()).length);
      await expect.poll(cut, { timeout: 60_000 }).toBeGreaterThan(1);
      await behave({});
      expect(await sum).toEqual([{ n: 1_600_000 }]);
    });

    it("of the server to give the manifest says what is missing", async () => {
      const empty = await WebScene.make();
      await expect(open(empty)).rejects.toThrow(code("replica/manifest"));
      await behave({ refuse: { suffix: "manifest.json", status: 403 } });
      await expect(open(scene)).rejects.toThrow(code("store/denied"));
    });

    it("to understand the options comes before any request", async () => {
      await expect(open(scene, { cacheBytes: 1 })).rejects.toThrow(code("usage/invalid"));
      await expect(open(scene, { at: "some day" })).rejects.toThrow(code("usage/invalid"));
      await expect(openReplica("ftp://host/app", options)).rejects.toThrow(code("store/url"));
      const signal = AbortSignal.abort(new Error("enough"));
      await expect(open(scene, { signal })).rejects.toThrow("enough");
      expect(await takeRequests()).toEqual([]);
    });
  });

  describe("closing", () => {
    it("ends what is running, refuses what comes after, and may happen twice", async () => {
      const db = await open(scene);
      const running = all(db, endlessSql);
      running.catch(() => undefined);
      await db[Symbol.asyncDispose]();
      await expect(running).rejects.toThrow(code("query/closed"));
      await expect(all(db, "SELECT 1")).rejects.toThrow(code("query/closed"));
      await db[Symbol.asyncDispose]();
    });

    it("ends its workers: nothing is asked of the server any more", async () => {
      const db = await open(scene, { follow: true });
      await all(db, countSql);
      await db[Symbol.asyncDispose]();
      // What was on its way may come late.
      await requestsEnd();
      // Longer than a follower waits.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      expect(await takeRequests()).toEqual([]);
    });
  });
}

export function all(
  db: ReplicaDatabase,
  sql: string,
  parameters: SqlParameters = [],
  waiting: { readonly signal?: AbortSignal } = {},
): Promise<SqlRow[]> {
  return Array.fromAsync(db.query(sql, parameters, waiting));
}

function code(name: ErrorCode): unknown {
  return expect.objectContaining({ code: name });
}
