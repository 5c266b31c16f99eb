// Queries of a replica with the package as users get it, in a process of its own. Prints its times as JSON.
import type * as headwater from "../../src/index.ts";
import { must } from "../../src/core/base/assert.ts";
import { type QueryTimes, hotIds, lookupSql, scanSql, timed } from "./query-workload.ts";

/** `entry` is the URL of the built package's entry. */
const { replica, entry } = JSON.parse(process.argv[2] ?? "{}") as {
  readonly replica: string;
  readonly entry: string;
};

const loadStartMs = performance.now();
const { openReplica, preloadSqlite } = (await import(entry)) as typeof headwater;
await preloadSqlite();
const loadMs = performance.now() - loadStartMs;

const startMs = performance.now();
await using db = await openReplica(replica);
const one = async (sql: string, parameters: readonly number[] = []): Promise<unknown> => {
  for await (const row of db.query(sql, parameters)) return row;
  return undefined;
};
must(await one(lookupSql, [hotIds[0] ?? 1]), "first row");
const firstRowMs = performance.now() - startMs;

let found = "";
const scanMs = await timed(async () => {
  found = JSON.stringify(await one(scanSql));
});
for (const id of hotIds.slice(0, 100)) await one(lookupSql, [id]);
const lookupsMs = await timed(async () => {
  for (const id of hotIds) await one(lookupSql, [id]);
});
const times: QueryTimes = { loadMs, firstRowMs, scanMs, lookupsMs, found };
console.log(JSON.stringify(times));
