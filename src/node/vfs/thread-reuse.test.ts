// SQLite's thread serves one replica after the other. Of the one before nothing is left.
import { afterEach, beforeEach, expect, it } from "vitest";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { all, valueOf } from "../../../test/support/replica-queries.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import { openReplica } from "./open-replica.ts";
import { hasSpareThread, startSqliteThread } from "./start-thread.ts";

const numbersSql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
const endlessSql = `${numbersSql} SELECT count(*) FROM n`;

async function makeScene(name: string, pageSize: number): Promise<FollowScene> {
  const sql = [`CREATE TABLE ${name}(x)`, `INSERT INTO ${name} VALUES('${name}')`];
  const scene = new FollowScene(databaseStates(pageSize, sql), pageSize);
  await scene.publish(1, scene.states.length);
  return scene;
}

let scenes: readonly FollowScene[];
beforeEach(async () => {
  scenes = [await makeScene("one", 4096), await makeScene("other", 512)];
});
afterEach(async () => {
  for (const scene of scenes) scene[Symbol.dispose]();
  while (hasSpareThread()) await startSqliteThread()[Symbol.asyncDispose]();
});

const openOne = (): Promise<ReplicaDatabase> => openReplica(scenes[0]?.url ?? "");
const openOther = (): Promise<ReplicaDatabase> => openReplica(scenes[1]?.url ?? "");

it("begins anew with each: no transaction, table, attached state or statement stays", async () => {
  const first = await openOne();
  await all(first, "CREATE TEMP TABLE kept(x)");
  await all(first, `ATTACH 'file:${first.name}?txid=0000000000000001' AS past`);
  await all(first, "BEGIN");
  expect(await valueOf(first, "SELECT x FROM one")).toBe("one");
  // Left in the middle.
  await first.query(`${numbersSql} SELECT i FROM n`)[Symbol.asyncIterator]().next();
  await first[Symbol.asyncDispose]();
  expect(hasSpareThread()).toBe(true);

  await using second = await openOther();
  expect(hasSpareThread()).toBe(false);
  expect(await valueOf(second, "SELECT x FROM other")).toBe("other");
  for (const sql of ["SELECT * FROM one", "SELECT * FROM kept", "SELECT * FROM past.one"]) {
    await expect(all(second, sql)).rejects.toSatisfy((error) => hasCode(error, "query/sql"));
  }
  await expect(all(second, "COMMIT")).rejects.toThrow("no transaction");
  expect(await all(second, "PRAGMA database_list")).toHaveLength(1);
  expect(await all(second, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
});

it("is free as soon as a replica is closed, also in the middle of a query", async () => {
  const first = await openOne();
  const running = all(first, endlessSql);
  running.catch(() => undefined);
  await first[Symbol.asyncDispose]();
  await expect(running).rejects.toSatisfy((error) => hasCode(error, "query/closed"));
  expect(hasSpareThread()).toBe(true);
  await using second = await openOther();
  expect(await valueOf(second, "SELECT x FROM other")).toBe("other");
});

it("serves many one after the other", async () => {
  for (let n = 0; n < 30; n++) {
    await using one = await openOne();
    expect(await valueOf(one, "SELECT x FROM one")).toBe("one");
    await one[Symbol.asyncDispose]();
    await using other = await openOther();
    expect(await valueOf(other, "SELECT x FROM other")).toBe("other");
  }
});
