// From the return of a commit to its L0 file under its final name in a `file://` replica, synchronous=FULL:
// with `--sync-interval 0` at 20 commits a second, and with the interval of 1 s and a commit every 2 s. Writer,
// replicator and this observer are three processes; the observer is told by inotify and reads the clock they share,
// so its own wake-up is part of the figure. Databases and replica are in the system's temporary directory.
import { closeSync, existsSync, fsyncSync, openSync, renameSync, watch, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startModule } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { monotonicMs } from "./support/paced-writer.ts";
import type { PacedOptions, PacedResult } from "./support/paced-writer.ts";
import { buildProduct, startReplicating } from "./support/product.ts";
import { formatMs, percentile } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const writerModule = fileURLToPath(new URL("support/paced-writer.ts", import.meta.url));

interface Case {
  readonly name: string;
  readonly syncInterval: string;
  readonly commitsPerSecond: number;
  readonly commits: number;
}

const cases: readonly Case[] = [
  { name: "interval 0, 20 commits/s", syncInterval: "0", commitsPerSecond: 20, commits: 800 },
  { name: "interval 1 s, 1 commit / 2 s", syncInterval: "1s", commitsPerSecond: 0.5, commits: 25 },
];

/** For each commit the time until the first file that came after it. */
async function measure({ syncInterval, commitsPerSecond, commits }: Case): Promise<number[]> {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const options: PacedOptions = {
    path,
    synchronous: "FULL",
    commitsPerSecond,
    rowsPerCommit: 3,
    commits: 1,
  };
  await startModule(writerModule, options).success();
  await using replicator = await startReplicating(path, directory.url("replica"), [
    "--sync-interval",
    syncInterval,
  ]);
  // The first L0 file follows the image.
  while (!existsSync(directory.file("replica/ltx/0"))) await pause(20);
  const appearedAtMs: number[] = [];
  const seen = new Set<string>();
  const watcher = watch(directory.file("replica/ltx/0"), (_, name) => {
    if (name === null || !name.endsWith(".ltx") || seen.has(name)) return;
    seen.add(name);
    appearedAtMs.push(monotonicMs());
  });
  // What opening the database wrote has passed, and the first interval with it.
  await pause(1_500);
  await using writer = startModule(writerModule, { ...options, commits });
  const { returnedAtMs } = JSON.parse((await writer.success()).at(-1) ?? "") as PacedResult;
  await replicator.end("SIGTERM");
  watcher.close();
  return returnedAtMs.map((returned) => {
    const appeared = appearedAtMs.find((ms) => ms > returned);
    if (appeared === undefined) throw new Error("A commit never reached the replica.");
    return appeared - returned;
  });
}

/** What one durable small file costs here at the moment: written, synced, renamed, its directory synced. */
async function durableFiles(count: number): Promise<number[]> {
  using directory = temporaryDirectory();
  const bytes = new Uint8Array(10_000);
  const tookMs: number[] = [];
  for (let i = 0; i < count; i++) {
    await pause(20);
    const startMs = monotonicMs();
    const file = openSync(directory.file("temporary"), "w");
    writeSync(file, bytes);
    fsyncSync(file);
    closeSync(file);
    renameSync(directory.file("temporary"), directory.file(String(i)));
    const parent = openSync(directory.path, "r");
    fsyncSync(parent);
    closeSync(parent);
    tookMs.push(monotonicMs() - startMs);
  }
  return tookMs;
}

buildProduct();
const rows = [["commit to file in the replica", "p50", "p99", "longest", "target p50, p99"]];
for (const one of cases) {
  const latencies = await measure(one);
  rows.push([
    one.name,
    ...[0.5, 0.99, 1].map((share) => formatMs(percentile(latencies, share))),
    "8 ms, 50 ms",
  ]);
}
const yardstick = await durableFiles(100);
rows.push([
  "for comparison: one durable file",
  ...[0.5, 0.99, 1].map((share) => formatMs(percentile(yardstick, share))),
  "",
]);
printTable(rows);
