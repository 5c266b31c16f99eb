// Queries of a replica of 131 MB without a restore:
//  - from `file://`, the package as users get it against Litestream's VFS (npm litestream-vfs): open to first row, a first
//    scan of the table, 6,000 lookups of rows that were read before. Each run is a process of its own, in turn. Litestream's
//    lookups are calls within one thread, and so are those of ours that are compared with them, in SQLite's thread; by
//    `db.query()` each goes to that thread and back.
//  - the same two with a local copy: until it is there, and the same queries on it;
//  - from a store that takes 20 ms for each request, ours alone: requests, and how often the query had to wait;
//  - with all pages in the cache, inside SQLite's thread, against `node:sqlite` on a local file.
import { copyFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ChildOptions, startModule } from "../test/support/children.ts";
import { openReplicaStore } from "../src/node/restore/environment.ts";
import { putHotPages, putManifest } from "../test/support/manifest.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import type { CachedReadFigures, CachedReadOptions } from "./support/cached-read-child.ts";
import { median } from "./support/compare.ts";
import { scatteredDatabase } from "./support/databases.ts";
import { buildProduct, productEntry, runHeadwater } from "./support/product.ts";
import { type HydrationTimes, type QueryTimes, hotIds } from "./support/query-workload.ts";
import type { RemoteFigure, RemoteFigures, RemoteOptions } from "./support/remote-query-child.ts";
import { formatMs, formatRatio } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const rounds = 3;
const requestMs = 20;

async function answerOf(name: string, argument: unknown, options?: ChildOptions): Promise<unknown> {
  const module = fileURLToPath(new URL(`support/${name}.ts`, import.meta.url));
  await using child = startModule(module, argument, options);
  return JSON.parse((await child.success()).at(-1) ?? "");
}

buildProduct();
using directory = temporaryDirectory();
const replica = directory.url("replica");
const path = directory.file("app.db");
copyFileSync(scatteredDatabase(), path);
await runHeadwater(["replicate", "--once", "--state-dir", directory.file("state"), path, replica]);

async function benchLocal(inThreadMs: number): Promise<void> {
  const entry = pathToFileURL(productEntry).href;
  const env = { TMPDIR: directory.path, LITESTREAM_LOG_FILE: directory.file("log") };
  const ours: QueryTimes[] = [];
  const theirs: QueryTimes[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push((await answerOf("replica-query-child", { replica, entry })) as QueryTimes);
    theirs.push((await answerOf("official-query-child", { replica }, { env })) as QueryTimes);
  }
  if (new Set([...ours, ...theirs].map(({ found }) => found)).size !== 1) {
    throw new Error("The scans found different rows.");
  }
  const row = (what: string, target: string, of: (times: QueryTimes) => number): string[] => {
    const ratio = median(ours.map((times, i) => of(theirs[i] ?? times) / of(times)));
    const [oursMs, theirsMs] = [median(ours.map(of)), median(theirs.map(of))];
    return [what, formatMs(oursMs), formatMs(theirsMs), formatRatio(ratio), target];
  };
  const theirLookupsMs = median(theirs.map(({ lookupsMs }) => lookupsMs));
  printTable([
    ["131 MB in file://", "Headwater", "Litestream", "ratio", "target"],
    row("open to first row, code loaded", "1.5x", ({ firstRowMs }) => firstRowMs),
    row("the same, loading the code too", "", ({ loadMs, firstRowMs }) => loadMs + firstRowMs),
    row("first scan of the table", "2.5x", ({ scanMs }) => scanMs),
    [
      `${hotIds.length} lookups, in one thread`,
      formatMs(inThreadMs),
      formatMs(theirLookupsMs),
      formatRatio(theirLookupsMs / inThreadMs),
      "30x",
    ],
    row("the same by db.query()", "", ({ lookupsMs }) => lookupsMs),
  ]);
}

async function benchHydration(): Promise<void> {
  const entry = pathToFileURL(productEntry).href;
  const ours: HydrationTimes[] = [];
  const theirs: HydrationTimes[] = [];
  for (let round = 0; round < rounds; round++) {
    using copies = temporaryDirectory();
    const env = { TMPDIR: copies.path, LITESTREAM_LOG_FILE: copies.file("log") };
    const [mine, official] = [copies.file("ours.db"), copies.file("theirs.db")];
    ours.push(
      (await answerOf("hydration-child", { replica, entry, path: mine })) as HydrationTimes,
    );
    theirs.push(
      (await answerOf(
        "official-hydration-child",
        { replica, path: official },
        { env },
      )) as HydrationTimes,
    );
  }
  if (new Set([...ours, ...theirs].map(({ found }) => found)).size !== 1) {
    throw new Error("The scans found different rows.");
  }
  const row = (what: string, target: string, of: (times: HydrationTimes) => number): string[] => {
    const ratio = median(ours.map((times, i) => of(theirs[i] ?? times) / of(times)));
    const [oursMs, theirsMs] = [median(ours.map(of)), median(theirs.map(of))];
    return [what, formatMs(oursMs), formatMs(theirsMs), formatRatio(ratio), target];
  };
  printTable([
    ["131 MB in file://, hydrated", "Headwater", "Litestream", "ratio", "target"],
    row("hydration against official hydration", "2.5x", ({ hydrationMs }) => hydrationMs),
    row("scan of the table after it", "", ({ scanMs }) => scanMs),
    row(`${hotIds.length} lookups after it, db.query()`, "", ({ lookupsMs }) => lookupsMs),
  ]);
}

function remoteRow(what: string, { ms, requests, waits }: RemoteFigure, target: string): string[] {
  return [what, formatMs(ms), String(requests), String(waits), target];
}

async function benchRemote(): Promise<void> {
  const options: RemoteOptions = { replica, requestMs };
  const figures = (await answerOf("remote-query-child", options)) as RemoteFigures;
  await using store = await openReplicaStore(replica);
  await putManifest(store, { hot: await putHotPages(store) });
  const described: RemoteOptions = { ...options, hasManifest: true };
  const told = (await answerOf("remote-query-child", described)) as RemoteFigures;
  const { first, lookups, count, scan } = figures;
  const middle: RemoteFigure = {
    ms: median(lookups.map(({ ms }) => ms)),
    requests: median(lookups.map(({ requests }) => requests)),
    waits: median(lookups.map(({ waits }) => waits)),
  };
  printTable([
    [`${requestMs} ms for each request`, "time", "requests", "waits", "target"],
    remoteRow("open and first lookup, with a manifest", told.first, "100 ms, 4 requests"),
    remoteRow("the same without", first, ""),
    remoteRow("lookup in a new part of the table", middle, "30 ms"),
    remoteRow("count(*) over the scattered index", count, "2.5 s, 25 waits"),
    remoteRow("scan of the table", scan, "4 s, 20 waits"),
  ]);
}

async function readCached(): Promise<CachedReadFigures> {
  const options: CachedReadOptions = { replica, path };
  return (await answerOf("cached-read-child", options)) as CachedReadFigures;
}

function printCached({ lookups, scan }: CachedReadFigures): void {
  printTable([
    ["all pages in the cache", "Headwater", "node:sqlite", "ratio", "target"],
    [
      `${hotIds.length} lookups`,
      formatMs(lookups.oursMs),
      formatMs(lookups.theirsMs),
      formatRatio(lookups.ratio),
      "0.8x",
    ],
    ["every row", formatMs(scan.oursMs), formatMs(scan.theirsMs), formatRatio(scan.ratio), "0.7x"],
  ]);
}

const cached = await readCached();
await benchLocal(cached.lookups.oursMs);
console.log("");
await benchHydration();
console.log("");
await benchRemote();
console.log("");
printCached(cached);
