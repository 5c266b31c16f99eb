// One writer at full speed, about five pages per commit, default automatic checkpoints, in a process of its own, with
// and without a replicator beside it: pairs in turn, each on a fresh copy of the same database on disk. Writers in
// `node:sqlite` and in Python (another SQLite), synchronous NORMAL and FULL. After each run with the replicator its
// replica is restored and compared with the source byte for byte. Arguments: seconds per run (4),
// pairs (5), and a part of the names of the cases to run ("FULL", "Python, NORMAL").
import { copyFileSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Child } from "../test/support/children.ts";
import { liveImage, sha256OfFile } from "../test/support/live-image.ts";
import { loadResult, startLoad, startPythonLoad } from "../test/support/load.ts";
import type { LoadOptions, LoadResult } from "../test/support/load.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { numberArgument } from "./support/arguments.ts";
import { median } from "./support/compare.ts";
import { buildProduct, runHeadwater, startReplicating } from "./support/product.ts";
import { formatMs, formatRatio } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const [seconds, pairs] = [numberArgument(0, 4), numberArgument(1, 5)];

interface Case {
  readonly writer: "node:sqlite" | "Python";
  readonly synchronous: "NORMAL" | "FULL";
  readonly target: string;
}

interface Run extends LoadResult {
  readonly largestWalBytes: number;
}

const start = { "node:sqlite": startLoad, Python: startPythonLoad };

/** A database that some thousand commits have gone into. */
async function makeSeed(path: string): Promise<void> {
  await using load = startLoad({ path, seed: 1, transactions: 5_000 });
  await load.success();
}

/** One run of the writer on the database at `path`. */
async function runWriter(path: string, { writer, synchronous }: Case): Promise<Run> {
  const options: LoadOptions = {
    path,
    seed: 2,
    seconds,
    synchronous,
    reportMs: 1_000,
    end: "exit",
  };
  let largestWalBytes = 0;
  const timer = setInterval(() => {
    const { size = 0 } = statSync(`${path}-wal`, { throwIfNoEntry: false }) ?? {};
    largestWalBytes = Math.max(largestWalBytes, size);
  }, 10);
  try {
    await using load: Child = start[writer](options);
    return { ...(await loadResult(load)), largestWalBytes };
  } finally {
    clearInterval(timer);
  }
}

async function runWithout(seed: string, one: Case): Promise<Run> {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  copyFileSync(seed, path);
  return await runWriter(path, one);
}

async function runWith(seed: string, one: Case): Promise<Run> {
  using directory = temporaryDirectory();
  const [path, replica, output] = [
    directory.file("app.db"),
    directory.url("replica"),
    directory.file("output.db"),
  ];
  copyFileSync(seed, path);
  await using replicator = await startReplicating(path, replica);
  const run = await runWriter(path, one);
  const { code } = await replicator.end("SIGTERM");
  if (code !== 0) throw new Error(`The replicator failed:\n${replicator.stderr}`);
  await runHeadwater(["restore", replica, "-o", output]);
  const { sha256 } = await liveImage(path);
  if ((await sha256OfFile(output)) !== sha256) throw new Error("The restored database differs.");
  return run;
}

async function measure(seed: string, one: Case): Promise<readonly string[]> {
  const [withUs, without]: [Run[], Run[]] = [[], []];
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 0) without.push(await runWithout(seed, one));
    withUs.push(await runWith(seed, one));
    if (pair % 2 === 1) without.push(await runWithout(seed, one));
  }
  const speed = (run: Run | undefined): number =>
    run === undefined ? Number.NaN : run.transactions / run.seconds;
  // The median of the five longest commits of each run; of these the median run.
  const longest = (runs: readonly Run[]): number =>
    median(runs.map((run) => run.longestMs[2] ?? Number.NaN));
  const ratio = median(withUs.map((run, i) => speed(run) / speed(without[i])));
  const largestWal = Math.max(...withUs.map((run) => run.largestWalBytes));
  return [
    `${one.writer}, ${one.synchronous}`,
    `${median(withUs.map(speed)).toFixed(0)} / ${median(without.map(speed)).toFixed(0)}`,
    formatRatio(ratio),
    one.target,
    `${formatMs(longest(withUs))} / ${formatMs(longest(without))}`,
    formatRatio(longest(withUs) / longest(without)),
    `${(largestWal / 1e6).toFixed(0)} MB`,
  ];
}

const cases: readonly Case[] = [
  { writer: "node:sqlite", synchronous: "NORMAL", target: "1.0x" },
  { writer: "node:sqlite", synchronous: "FULL", target: "0.9x" },
  { writer: "Python", synchronous: "NORMAL", target: "1.0x" },
  { writer: "Python", synchronous: "FULL", target: "0.9x" },
];

buildProduct();
using seedDirectory = temporaryDirectory();
const seed = seedDirectory.file("seed.db");
await makeSeed(seed);
{
  // One file, without a WAL beside it.
  using db = new DatabaseSync(seed);
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
}
const rows: (readonly string[])[] = [
  [
    "writer",
    "commits/s with / without",
    "ratio",
    "target",
    "long commits",
    "ratio (3x)",
    "WAL (300 MB)",
  ],
];
const only = process.argv[4] ?? "";
for (const one of cases) {
  if (`${one.writer}, ${one.synchronous}`.includes(only)) rows.push(await measure(seed, one));
}
printTable(rows);
console.log("\nEvery restore was identical to its source.");
