// Litestream's VFS hydrating a replica, in a process of its own because it breaks every other connection of the process it is
// loaded into. Prints its times as JSON.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { getLoadablePath } from "litestream-vfs";
import { type HydrationTimes, hotIds, lookupSql, scanSql, timed } from "./query-workload.ts";

const { replica, path } = JSON.parse(process.argv[2] ?? "{}") as {
  readonly replica: string;
  readonly path: string;
};

new DatabaseSync(":memory:", { allowExtension: true }).loadExtension(getLoadablePath());
const url = new URL("file:/replica.db");
url.search = new URLSearchParams({
  vfs: "litestream",
  replica_url: replica,
  hydration_enabled: "true",
  hydration_path: path,
}).toString();

const startMs = performance.now();
using db = new DatabaseSync(url);
const progress = (): number =>
  Number(Object.values(db.prepare("PRAGMA litestream_hydration_progress").get() ?? {})[0]);
while (progress() < 100) await sleep(5);
const hydrationMs = performance.now() - startMs;

let found = "";
db.prepare(scanSql).get();
const scanMs = await timed(() => {
  found = JSON.stringify(db.prepare(scanSql).get());
});
const lookup = db.prepare(lookupSql);
for (const id of hotIds.slice(0, 100)) lookup.get(id);
const lookupsMs = await timed(() => {
  for (const id of hotIds) lookup.get(id);
});
const times: HydrationTimes = { hydrationMs, scanMs, lookupsMs, found };
console.log(JSON.stringify(times));
