// Queries on real replicas: the golden ones, and those that our engine writes while they are read.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { patchDatabaseHeader } from "../src/core/sqlite/database-header.ts";
import { formatTxid } from "../src/core/ltx/txid.ts";
import { hasCode } from "../src/core/base/errors.ts";
import { openReplica, openReplicaIn } from "../src/node/vfs/open-replica.ts";
import type { ReplicaDatabase } from "../src/core/vfs/replica-database.ts";
import { restoreIn } from "../src/node/restore/restore.ts";
import { systemEnvironment } from "../src/node/restore/environment.ts";
import { engineReady, syncEngine } from "./support/engine.ts";
import { copyGolden, goldenSetNames } from "./support/golden.ts";
import { loadGoldenS3 } from "./support/golden-s3.ts";
import { all, valueOf } from "./support/replica-queries.ts";
import { Scene } from "./support/scene.ts";
import { temporaryDirectory } from "./support/temporary.ts";

const s3Set = "daemon-s3-4096";
const comparedPoints = 6;

/** The database as SQLite reads it, page by page. */
async function pagesOf(db: ReplicaDatabase, schema: string): Promise<Buffer> {
  const rows = await all(db, "SELECT data FROM sqlite_dbpage(?)", [schema]);
  return Buffer.concat(rows.map(({ data }) => data as Uint8Array));
}

/** A restored database with the header that a reader of a replica sees. */
function asRead(path: string, txid: bigint, pageSize: number): Buffer {
  const bytes = readFileSync(path);
  patchDatabaseHeader(bytes, {
    pageCount: bytes.length / pageSize,
    changeCounter: Number(BigInt.asUintN(32, txid)),
  });
  return bytes;
}

describe.each(goldenSetNames())("the golden replica %s", (name) => {
  it("reads as it restores, now and at earlier TXIDs, byte for byte", async () => {
    using set = copyGolden(name);
    // Some of what Litestream's bugs wrote is damaged, and read as it is.
    const isDamaged = name.startsWith("quirk-");
    using directory = temporaryDirectory();
    const isS3 = name === s3Set;
    const replica = isS3 ? "s3://golden/app/live.db" : pathToFileURL(set.path).href;
    const system = systemEnvironment();
    const s3 = isS3 ? await loadGoldenS3(set) : undefined;
    const environment = s3 === undefined ? system : { ...system, openReplica: async () => s3 };
    await using db = await openReplicaIn(environment, replica, {});
    const called = encodeURIComponent(db.name);
    const points = set.restores.filter(({ sha256 }) => sha256 !== undefined);
    const step = Math.ceil(points.length / comparedPoints);
    const some = points.filter((_, index) => (points.length - 1 - index) % step === 0);
    expect(some.at(-1)?.txid).toBe(db.txid);
    for (const { txid } of some) {
      await all(db, `ATTACH 'file:${called}?txid=${formatTxid(txid)}' AS past`);
      const output = directory.file(`${txid}.db`);
      await restoreIn(environment, { replica, output, txid });
      expect((await pagesOf(db, "past")).equals(asRead(output, txid, set.pageSize))).toBe(true);
      const check = await all(db, "PRAGMA past.integrity_check");
      if (!isDamaged) expect(check).toEqual([{ integrity_check: "ok" }]);
      await all(db, "DETACH past");
    }
  });
});

describe("a replica that our engine writes", () => {
  it("is followed through schema changes, growth, VACUUM and a shrink, each snapshot whole", async () => {
    await using scene = await Scene.open({ transactions: 5 });
    const engine = scene.engine();
    await engineReady(engine);
    const commit = async (sql: string): Promise<void> => {
      await scene.app.exec(sql);
      await syncEngine(engine);
      await db.refresh();
    };
    await syncEngine(engine);
    await using db = await openReplica(scene.replica);
    await commit(`
      CREATE TABLE item(id INTEGER PRIMARY KEY, body BLOB);
      CREATE VIRTUAL TABLE note USING fts5(text);
      CREATE VIRTUAL TABLE box USING rtree(id, x0, x1);
      INSERT INTO note VALUES('the quick brown fox'), ('a lazy dog');
      INSERT INTO box VALUES(1, 0, 10), (2, 20, 30)`);
    expect(await all(db, "SELECT text FROM note WHERE note MATCH 'NEAR(quick fox)'")).toEqual([
      { text: "the quick brown fox" },
    ]);
    expect(await valueOf(db, "SELECT id FROM box WHERE x0 > 15")).toBe(2);
    const grow = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
      INSERT INTO item SELECT NULL, randomblob(3000) FROM n`;
    await commit(grow);
    const grown = Number(await valueOf(db, "PRAGMA page_count"));
    const { txid } = db;

    await all(db, "BEGIN");
    expect(await valueOf(db, "SELECT count(*) FROM item")).toBe(300);
    await commit("DELETE FROM item WHERE id > 20; VACUUM");
    await commit(
      "ALTER TABLE item ADD COLUMN extra DEFAULT 'x'; CREATE INDEX by_extra ON item(extra)",
    );
    expect(db.txid).toBe(txid);
    expect(await valueOf(db, "SELECT count(*) FROM item")).toBe(300);
    expect(await valueOf(db, "PRAGMA page_count")).toBe(grown);
    expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");
    await all(db, "COMMIT");

    expect(db.txid).toBe(txid + 2n);
    expect(await valueOf(db, "SELECT count(*) FROM item WHERE extra = 'x'")).toBe(20);
    expect(Number(await valueOf(db, "PRAGMA page_count"))).toBeLessThan(grown / 4);
    expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");

    await all(db, `ATTACH 'file:replica?txid=${formatTxid(txid)}' AS past`);
    const gone = "SELECT count(*) FROM past.item WHERE id NOT IN (SELECT id FROM main.item)";
    expect(await valueOf(db, gone)).toBe(280);
  });

  it("opens at a time in words and at a TXID, and stays there", async () => {
    await using scene = await Scene.open({ transactions: 0 });
    const engine = scene.engine();
    await engineReady(engine);
    await scene.app.exec("CREATE TABLE t(x); INSERT INTO t VALUES('first')");
    const txid = BigInt(`0x${await syncEngine(engine)}`);
    await using early = await openReplica(scene.replica);
    await scene.app.exec("INSERT INTO t VALUES('second')");
    await syncEngine(engine);

    const values = "SELECT group_concat(x) FROM t";
    await using at = await openReplica(scene.replica, { at: new Date(early.timestampMs + 1) });
    await using then = await openReplica(scene.replica, { txid: early.txid });
    await using now = await openReplica(scene.replica, { at: "now" });
    expect(early.txid).toBe(txid);
    expect(at.txid).toBe(txid);
    expect(await at.refresh()).toBe(txid);
    for (const db of [at, then]) expect(await valueOf(db, values)).toBe("first");
    expect(await valueOf(now, values)).toBe("first,second");
    expect(await valueOf(early, values)).toBe("first");
    await early.refresh();
    expect(await valueOf(early, values)).toBe("first,second");
    const before = openReplica(scene.replica, { at: new Date(1000) });
    await expect(before).rejects.toSatisfy((error) => hasCode(error, "replica/unreachable-time"));
  });

  it("tells who writes to it that it is a replica, and where to write", async () => {
    await using scene = await Scene.open({ transactions: 1 });
    await engineReady(scene.engine());
    await using db = await openReplica(scene.replica);
    const write = all(db, "CREATE TABLE t(x)");
    await expect(write).rejects.toSatisfy((error) => hasCode(error, "query/read-only"));
    await expect(write).rejects.toThrow(/is a replica, which is read-only.*copies it from .*\d+/su);
    await all(db, "CREATE TEMP TABLE mine(x)");
    await all(db, "INSERT INTO mine VALUES(1)");
    expect(await valueOf(db, "SELECT count(*) FROM mine")).toBe(1);
  });
});
