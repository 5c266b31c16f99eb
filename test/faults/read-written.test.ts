// The bugs that Litestream's VFS (0.5.17) has where it writes. Headwater's replicas are written by the application, and `replicate`:
// what is read of them is held to the same.
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { openReplica } from "../../src/node/vfs/open-replica.ts";
import { engineReady, syncEngine } from "../support/engine.ts";
import { headwater } from "../support/headwater.ts";
import { all, valueOf } from "../support/replica-queries.ts";
import { Scene } from "../support/scene.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const rowsSql = "SELECT count(*) AS n, sum(length(body)) AS size FROM t";

describe("bugs of Litestream's VFS where it writes", () => {
  it("6: a new database is whole after each sync, while it grows and shrinks", async () => {
    await using scene = await Scene.open({ transactions: 0 });
    const engine = scene.engine({ syncIntervalMs: 20 });
    await scene.app.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    await engineReady(engine);
    await syncEngine(engine);
    await using db = await openReplica(scene.replica);
    for (const sql of [
      "INSERT INTO t(body) VALUES(randomblob(100))",
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t(body) SELECT randomblob(3000) FROM n",
      "UPDATE t SET body = randomblob(200) WHERE id % 2 = 0",
      "DELETE FROM t WHERE id > 20; VACUUM",
      "INSERT INTO t(body) SELECT randomblob(4000) FROM t",
    ]) {
      await scene.app.exec(sql);
      await syncEngine(engine);
      await db.refresh();
      expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");
      expect(await all(db, rowsSql)).toEqual(await scene.app.all(rowsSql));
    }
  });

  it("6: two replicas that one process writes have numbers of their own, and lose nothing", async () => {
    using directory = temporaryDirectory();
    const names = ["a", "b"];
    for (const name of names) {
      using app = new DatabaseSync(directory.file(`${name}.db`));
      app.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x)");
    }
    const config = directory.file("headwater.yml");
    const lines = names.flatMap((name) => [
      `  - path: ${directory.file(`${name}.db`)}`,
      `    replica: { path: ${directory.file(`replicas/${name}`)} }`,
    ]);
    writeFileSync(config, ["dbs:", ...lines, ""].join("\n"));
    await headwater(["replicate", "-once", "-config", config]).success();
    {
      using app = new DatabaseSync(directory.file("b.db"));
      app.exec("INSERT INTO t VALUES(7)");
    }
    await headwater(["replicate", "-once", "-config", config]).success();
    await using a = await openReplica(directory.url("replicas/a"));
    await using b = await openReplica(directory.url("replicas/b"));
    expect([a.txid, b.txid]).toEqual([2n, 3n]);
    expect(await all(a, "SELECT x FROM t")).toEqual([]);
    expect(await all(b, "SELECT x FROM t")).toEqual([{ x: 7 }]);
  });

  it.each([512, 8192, 65536])("9: pages of %i bytes are what they are", async (pageSize) => {
    await using scene = await Scene.open({ pageSize });
    const engine = scene.engine({ syncIntervalMs: 20 });
    await engineReady(engine);
    await scene.app.ledger(5);
    await syncEngine(engine);
    await using db = await openReplica(scene.replica);
    expect(await valueOf(db, "PRAGMA page_size")).toBe(pageSize);
    expect(await valueOf(db, "PRAGMA integrity_check")).toBe("ok");
    expect(await all(db, "SELECT count(*) AS n FROM ledger")).toEqual(
      await scene.app.all("SELECT count(*) AS n FROM ledger"),
    );
  });
});
