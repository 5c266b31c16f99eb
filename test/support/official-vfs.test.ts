import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { officialHydrate, officialQuery, officialWrite } from "./official-vfs.ts";
import { temporaryDirectory } from "./temporary.ts";

it("writes a replica with Litestream's own code, queries it and hydrates it", async () => {
  using directory = temporaryDirectory();
  const replica = directory.url("replica");
  await officialWrite(replica, [
    "CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    "INSERT INTO t VALUES(2)",
  ]);
  expect(existsSync(directory.file("replica/ltx/0/0000000000000002-0000000000000002.ltx"))).toBe(
    true,
  );
  await expect(officialQuery(replica, "SELECT sum(x) AS sum FROM t")).resolves.toEqual([
    { sum: 3 },
  ]);
  const output = directory.file("hydrated.db");
  const { txid } = await officialHydrate(replica, output);
  expect(txid).toBe(2n);
  using db = new DatabaseSync(output);
  expect(db.prepare("SELECT sum(x) AS sum FROM t").get()).toEqual({ sum: 3 });
});
