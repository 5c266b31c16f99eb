// Litestream's VFS over a replica, in a process of its own because it breaks every other connection of the process it is
// loaded into. Prints its times as JSON.
import { DatabaseSync } from "node:sqlite";
import { type QueryTimes, hotIds, lookupSql, scanSql, timed } from "./query-workload.ts";

const { replica } = JSON.parse(process.argv[2] ?? "{}") as { readonly replica: string };

const loadMs = await timed(async () => {
  const { getLoadablePath } = await import("litestream-vfs");
  new DatabaseSync(":memory:", { allowExtension: true }).loadExtension(getLoadablePath());
});
const url = new URL("file:/replica.db");
url.search = new URLSearchParams({ vfs: "litestream", replica_url: replica }).toString();

const startMs = performance.now();
using db = new DatabaseSync(url);
const lookup = db.prepare(lookupSql);
lookup.get(hotIds[0] ?? 1);
const firstRowMs = performance.now() - startMs;

let found = "";
const scanMs = await timed(() => {
  found = JSON.stringify(db.prepare(scanSql).get());
});
for (const id of hotIds.slice(0, 100)) lookup.get(id);
const lookupsMs = await timed(() => {
  for (const id of hotIds) lookup.get(id);
});
const times: QueryTimes = { loadMs, firstRowMs, scanMs, lookupsMs, found };
console.log(JSON.stringify(times));
