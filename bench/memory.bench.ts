// The first image of a 1 GB database into a `file://` replica while an application commits 200 times a second:
//  - peak memory (VmHWM) of `headwater replicate`, all its processes, from start to 15 s after the image;
//  - how long its checkpoints kept writers out, from its debug log;
//  - how long the application's commits took while the image was made, against the same application beside a process
//    that reads the same file at the same MB/s, for as long.
import { copyFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Child, startModule } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { largeDatabase } from "./support/databases.ts";
import { monotonicMs } from "./support/paced-writer.ts";
import type { PacedOptions, PacedResult } from "./support/paced-writer.ts";
import { peakResidentBytes, processTree, readBytes } from "./support/processes.ts";
import { buildProduct, loggedFields, startHeadwater } from "./support/product.ts";
import { formatMs, formatRatio, percentile } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const support = (name: string): string =>
  fileURLToPath(new URL(`support/${name}`, import.meta.url));
const afterImageMs = 15_000;

async function startWriter(path: string): Promise<Child> {
  const options: PacedOptions = {
    path,
    synchronous: "NORMAL",
    commitsPerSecond: 200,
    rowsPerCommit: 3,
  };
  const writer = startModule(support("paced-writer.ts"), options);
  await writer.line((line) => line === "ready");
  return writer;
}

/** Ends the writer; how long its commits took between two moments. */
async function commitsBetween(writer: Child, startMs: number, endMs: number): Promise<number[]> {
  writer.closeInput();
  const { returnedAtMs, tookMs } = JSON.parse((await writer.success()).at(-1) ?? "") as PacedResult;
  return tookMs.filter(
    (_, i) => (returnedAtMs[i] ?? 0) > startMs && (returnedAtMs[i] ?? 0) < endMs,
  );
}

buildProduct();
using directory = temporaryDirectory();
const path = directory.file("app.db");
copyFileSync(largeDatabase(), path);

// With us.
const writer = await startWriter(path);
const startMs = monotonicMs();
const replicator = startHeadwater([
  "replicate",
  "--log-level",
  "debug",
  path,
  directory.url("replica"),
]);
await replicator.line((line) => line.includes("database.replicating"));
const imageMs = monotonicMs() - startMs;
const bytesPerSecond = (readBytes(replicator.pid) * 1000) / imageMs;
await pause(afterImageMs);
const withUs = await commitsBetween(writer, startMs, startMs + imageMs);
const peak = peakResidentBytes(processTree(replicator.pid));
const locks = loggedFields(replicator, "checkpoint.done").map((fields) =>
  Number(fields["writeLockMs"]),
);
await replicator.end("SIGTERM");

// Beside a reader.
const writerAlone = await startWriter(path);
const readStartMs = monotonicMs();
await using reader = new Child(process.execPath, [
  support("read-child.ts"),
  path,
  String(bytesPerSecond),
]);
await pause(imageMs);
const besideReader = await commitsBetween(writerAlone, readStartMs, readStartMs + imageMs);
reader.closeInput();

const [ours, theirs] = [percentile(withUs, 0.999), percentile(besideReader, 0.999)];
console.log(
  `First image of 1 GB in ${(imageMs / 1000).toFixed(1)} s, read at ${(bytesPerSecond / 1e6).toFixed(0)} MB/s.\n`,
);
printTable([
  ["while an application commits 200 times a second", "measured", "target"],
  ["peak memory of the replicator", `${(peak / 1e6).toFixed(0)} MB`, "150 MB"],
  [
    `write lock held, p99 of ${locks.length} checkpoints`,
    formatMs(percentile(locks, 0.99)),
    "50 ms",
  ],
  ["write lock held, longest", formatMs(Math.max(...locks)), "reported"],
  ["commits, p99.9 with us / beside a reader", `${formatMs(ours)} / ${formatMs(theirs)}`, ""],
  ["ratio of the two", formatRatio(ours / theirs), "2x"],
]);
