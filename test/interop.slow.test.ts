// The lock page at 1 GiB is in no file; readers must put zeros in its place and go on behind it.
import { DatabaseSync } from "node:sqlite";
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { lockPgno } from "../src/core/base/page.ts";
import { sha256OfFile } from "./support/live-image.ts";
import { officialHydrate } from "./support/official-vfs.ts";
import { historyOf } from "./support/sqlite-history.ts";
import { temporaryDirectory } from "./support/temporary.ts";

const pageSize = 65536;

it("Litestream's code restores what Headwater wrote of a database that reaches beyond its lock page", async () => {
  using directory = temporaryDirectory();
  const path = directory.file("large.db");
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size=${pageSize}; PRAGMA synchronous=OFF; CREATE TABLE t(x)`);
  // 999 MB is near SQLite's limit for one value.
  db.exec("INSERT INTO t VALUES(zeroblob(999000000)), (zeroblob(80000000)), (randomblob(200000))");
  db.close();
  const image = await readFile(path);
  expect(image.length / pageSize).toBeGreaterThan(lockPgno(pageSize));
  await historyOf([image], pageSize).writeLevel0(directory.file("replica"));
  const output = directory.file("hydrated.db");
  const { sha256 } = await officialHydrate(directory.url("replica"), output);
  expect(sha256).toBe(await sha256OfFile(path));
});
