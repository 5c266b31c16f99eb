// The levels:
//  - 500 level-0 files of 50 pages each (100 MB, from a database like those of web applications) compacted into level 1, as
//    the engine does it, against reading the same files with the same decoder, keeping the newest image of each page and
//    encoding those again with the same encoder; both from memory into memory, with the same checks of every byte, each in a
//    process of its own;
//  - peak memory (VmHWM) of `headwater replicate`, all its processes, over a 2 GB database: first image, two more and
//    compactions of level 1 and 2, while an application commits 100 times a second; to the end of its process.
// Argument: "compaction" or "memory" runs only that one.
import { copyFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Child, startModule } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { until } from "../test/support/until.ts";
import { compare } from "./support/compare.ts";
import type { CompactionOptions } from "./support/compaction-child.ts";
import { largeDatabase } from "./support/databases.ts";
import type { PacedOptions } from "./support/paced-writer.ts";
import { peakUntilEnd, processorMs } from "./support/processes.ts";
import { buildProduct, loggedFields, startHeadwater } from "./support/product.ts";
import { createSampleDatabase } from "./support/sample-database.ts";
import { formatMs, formatRatio } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const pageSize = 4096;
const compaction = { files: 500, pagesPerFile: 50 };
const rounds = 15;

async function startCompaction(path: string, how: CompactionOptions["how"]): Promise<Child> {
  const options: CompactionOptions = { path, how, ...compaction };
  const child = startModule(
    fileURLToPath(new URL("support/compaction-child.ts", import.meta.url)),
    options,
  );
  await child.line((line) => line === "ready");
  return child;
}

async function compactOnce(child: Child): Promise<void> {
  const from = child.lines.length;
  child.send("again");
  await child.line((line) => line === "done", from);
}

async function benchCompaction(): Promise<void> {
  using directory = temporaryDirectory();
  const path = directory.file("sample.db");
  createSampleDatabase(path, { sizeBytes: 60e6 });
  await using copying = await startCompaction(path, "copied");
  await using encoding = await startCompaction(path, "encoded");
  const children = [copying, encoding] as const;
  const startMs = children.map(({ pid }) => processorMs([pid]));
  const times = await compare(
    { run: () => compactOnce(copying) },
    { run: () => compactOnce(encoding) },
    { rounds },
  );
  // And one run to warm up.
  const [oursMs = 0, theirsMs = 0] = children.map(
    ({ pid }, i) => (processorMs([pid]) - (startMs[i] ?? 0)) / (rounds + 1),
  );
  const megabytes = (compaction.files * compaction.pagesPerFile * pageSize) / 1e6;
  const speed = (ms: number): string =>
    `${formatMs(ms)}, ${((megabytes / ms) * 1000).toFixed(0)} MB/s`;
  printTable([
    [
      `${compaction.files} files, ${megabytes.toFixed(0)} MB of pages`,
      "frames copied",
      "encoded again",
      "ratio",
      "target",
    ],
    [
      "compaction into level 1",
      speed(times.oursMs),
      speed(times.theirsMs),
      formatRatio(times.ratio),
      "2x",
    ],
    [
      "the same in processor time",
      speed(oursMs),
      speed(theirsMs),
      formatRatio(theirsMs / oursMs),
      "",
    ],
  ]);
}

async function benchMemory(): Promise<void> {
  buildProduct();
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  copyFileSync(largeDatabase(2e9), path);
  const config = directory.file("headwater.yml");
  writeFileSync(
    config,
    `levels: [{ interval: 2s }, { interval: 10s }]\nsnapshot: { interval: 30s, retention: 24h }\n` +
      `dbs:\n  - path: ${path}\n    replica: { path: ${directory.file("replica")}, sync-interval: 0s }\n`,
  );
  const options: PacedOptions = {
    path,
    synchronous: "NORMAL",
    commitsPerSecond: 100,
    rowsPerCommit: 5,
  };
  const writer = startModule(
    fileURLToPath(new URL("support/paced-writer.ts", import.meta.url)),
    options,
  );
  await using ended = new AsyncDisposableStack();
  ended.use(writer);
  await writer.line((line) => line === "ready");
  const replicator = ended.use(
    startHeadwater(["replicate", "-config", config, "-log-level", "debug"]),
  );
  const peak = peakUntilEnd(replicator.pid);
  const images = (): number =>
    loggedFields(replicator, "ltx.uploaded").filter(({ level }) => level === "9").length;
  const early = replicator.exited.then(() => {
    throw new Error(`The replicator ended early.\n${replicator.stderr}`);
  });
  await Promise.race([until(() => images() >= 3, 600_000), early]);
  // All that came during the image is compacted after it: as much at once as ever.
  const from = replicator.lines.length;
  for (const level of ["level=1", "level=2"]) {
    await replicator.line((line) => line.includes("ltx.compacted") && line.includes(level), from);
  }
  const compacted = loggedFields(replicator, "ltx.compacted").length;
  writer.closeInput();
  early.catch(() => undefined);
  await replicator.end("SIGTERM");
  printTable([
    [`2 GB, ${images()} images, ${compacted} compactions`, "measured", "target"],
    ["peak memory of the replicator", `${((await peak) / 1e6).toFixed(0)} MB`, "250 MB"],
  ]);
}

const only = process.argv[2] ?? "";
if (only !== "memory") await benchCompaction();
if (only === "") console.log("");
if (only !== "compaction") await benchMemory();
