// A replica with a local copy, with the package as users get it, in a process of its own: how long until queries run on the copy,
// and how fast they are then. Prints its times as JSON.
import type * as headwater from "../../src/index.ts";
import { type HydrationTimes, hotIds, lookupSql, scanSql, timed } from "./query-workload.ts";

/** `entry` is the URL of the built package's entry. */
const { replica, entry, path } = JSON.parse(process.argv[2] ?? "{}") as {
  readonly replica: string;
  readonly entry: string;
  readonly path: string;
};

const { openReplica } = (await import(entry)) as typeof headwater;
const ready = Promise.withResolvers<void>();
const logger = { log: (_: string, event: string) => event === "hydrate.ready" && ready.resolve() };

const startMs = performance.now();
await using db = await openReplica(replica, { hydrate: path, logger });
const one = async (sql: string, parameters: readonly number[] = []): Promise<unknown> => {
  for await (const row of db.query(sql, parameters)) return row;
  return undefined;
};
await ready.promise;
const version = (await one("SELECT sqlite_version() AS version")) as { readonly version: string };
if (version.version !== process.versions["sqlite"]) throw new Error("It is not the copy.");
const hydrationMs = performance.now() - startMs;

let found = "";
await one(scanSql);
const scanMs = await timed(async () => {
  found = JSON.stringify(await one(scanSql));
});
for (const id of hotIds.slice(0, 100)) await one(lookupSql, [id]);
const lookupsMs = await timed(async () => {
  for (const id of hotIds) await one(lookupSql, [id]);
});
const times: HydrationTimes = { hydrationMs, scanMs, lookupsMs, found };
console.log(JSON.stringify(times));
