// Many databases in one process, as `headwater replicate` runs them from a configuration file with a directory of them.
//
//   idle     1,000 databases at rest for 60 s: processor time of all threads as the scheduler counts it, peak memory, and
//            requests to the stores from the debug log; before that, how long a start with nothing changed takes.
//   commits  1,000 databases of 1 MB, one writer that commits to one after the other, 10 commits a second: from the return
//            of a commit to its L0 file in the `file://` replica, as bench/latency.bench.ts measures it. Each database is
//            at rest when its commit comes.
//   large    10,000 databases of 100 KB: first start with full images; then a start after 1 % of them were changed, until
//            those are replicated and all others rest: time, peak memory, requests, databases that were opened.
//
// Arguments: which of them (all), then a divisor for the number of databases (1).
import { copyFileSync, mkdirSync, readdirSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startModule } from "../test/support/children.ts";
import type { Child } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import type { TemporaryDirectory } from "../test/support/temporary.ts";
import type { RoundRobinOptions, RoundRobinResult } from "./support/round-robin-writer.ts";
import { monotonicMs } from "./support/paced-writer.ts";
import { peakResidentBytes, processTree, processorMs } from "./support/processes.ts";
import { buildProduct, startHeadwater } from "./support/product.ts";
import { formatMs, percentile } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const [, , which = "all", divisor = "1"] = process.argv;
const scale = (count: number): number => Math.round(count / Number(divisor));

const writerModule = fileURLToPath(new URL("support/round-robin-writer.ts", import.meta.url));

interface Databases {
  readonly directory: TemporaryDirectory;
  readonly paths: readonly string[];
  readonly config: string;
}

function nameOf(index: number): string {
  return `db-${String(index).padStart(5, "0")}.db`;
}

/** So many copies of one database in WAL mode, and a configuration file for them. */
function makeDatabases(count: number, sizeBytes: number): Databases {
  const directory = temporaryDirectory();
  mkdirSync(directory.file("dbs"));
  const first = directory.file("first.db");
  {
    using db = new DatabaseSync(first);
    db.exec(`
      PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE t(id INTEGER PRIMARY KEY, body);
      WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ${Math.round(sizeBytes / 1040)})
        INSERT INTO t SELECT id, hex(randomblob(500)) FROM n;`);
  }
  const paths = Array.from({ length: count }, (_, i) => directory.file(join("dbs", nameOf(i))));
  for (const path of paths) copyFileSync(first, path);
  const config = directory.file("headwater.yml");
  writeFileSync(
    config,
    `dbs:\n  - dir: ${directory.file("dbs")}\n    pattern: "*.db"\n    replica: { url: ${directory.url("replica")} }\n`,
  );
  return { directory, paths, config };
}

function start(config: string): Child {
  return startHeadwater(["replicate", "-config", config, "-log-level", "debug"]);
}

/** Counts events as they come. Those of the debug log are too many to look through again and again. */
class Events {
  readonly #child: Child;
  readonly #countByEvent = new Map<string, number>();
  #read = 0;

  constructor(child: Child) {
    this.#child = child;
  }

  count(event: string): number {
    for (; this.#read < this.#child.lines.length; this.#read++) {
      const name = this.#child.lines[this.#read]?.split(" ")[2] ?? "";
      this.#countByEvent.set(name, (this.#countByEvent.get(name) ?? 0) + 1);
    }
    return this.#countByEvent.get(event) ?? 0;
  }

  get requests(): number {
    this.count("");
    return [...this.#countByEvent].reduce(
      (sum, [name, count]) =>
        // What a store can do is asked of the store object, and seldom of a server.
        sum + (name.startsWith("store.") && name !== "store.features" ? count : 0),
      0,
    );
  }

  /** Resolves when so many databases are at rest. */
  async atRest(count: number): Promise<void> {
    const { exited } = this.#child;
    let hasEnded = false;
    void exited.then(() => (hasEnded = true));
    while (this.count("database.hibernated") - this.count("database.woken") < count) {
      if (hasEnded) throw new Error(`It ended early: ${this.#child.stderr}`);
      await pause(50);
    }
  }
}

function formatMegabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

async function idle(): Promise<void> {
  const count = scale(1_000);
  const { directory, config } = makeDatabases(count, 20_000);
  using _ = directory;
  {
    await using first = start(config);
    await new Events(first).atRest(count);
    await first.end("SIGTERM");
  }
  const startMs = monotonicMs();
  await using replicator = start(config);
  const events = new Events(replicator);
  await events.atRest(count);
  const readyMs = monotonicMs() - startMs;
  await pause(5_000);
  const processes = processTree(replicator.pid);
  const [usedMs, requests] = [processorMs(processes), events.requests];
  await pause(60_000);
  const percent = (processorMs(processes) - usedMs) / 600;
  printTable([
    [`${count} idle databases, 60 s`, "measured", "target"],
    ["start with nothing changed", formatSeconds(readyMs), ""],
    ["processor", `${percent.toFixed(2)} % of a core`, "0.5 %"],
    ["peak memory", formatMegabytes(peakResidentBytes(processes)), "300 MB"],
    ["requests", String(events.requests - requests), "0"],
  ]);
}

/** For each commit the time until the first file that came after it. */
async function latencies(
  { directory, paths }: Databases,
  keepsConnections: boolean,
): Promise<number[]> {
  const appeared = paths.map((_path, i) => {
    const level0 = directory.file(join("replica", nameOf(i), "ltx", "0"));
    const known = new Set(readdirSync(level0));
    const atMs: number[] = [];
    const watcher = watch(level0, (__, name) => {
      if (name === null || !name.endsWith(".ltx") || known.has(name)) return;
      known.add(name);
      atMs.push(monotonicMs());
    });
    return { watcher, atMs };
  });
  const options: RoundRobinOptions = {
    paths,
    commitsPerSecond: 10,
    commits: paths.length,
    keepsConnections,
  };
  await using writer = startModule(writerModule, options);
  const { returnedAtMs } = JSON.parse((await writer.success()).at(-1) ?? "") as RoundRobinResult;
  const hasAll = (): boolean =>
    returnedAtMs.every((returned, i) => appeared[i]?.atMs.some((ms) => ms > returned) === true);
  for (let seconds = 0; seconds < 60 && !hasAll(); seconds++) await pause(1_000);
  return returnedAtMs.map((returned, i) => {
    const [firstMs] = appeared[i]?.atMs.filter((ms) => ms > returned) ?? [];
    appeared[i]?.watcher.close();
    if (firstMs === undefined)
      throw new Error(`The commit to ${nameOf(i)} never reached its replica.`);
    return firstMs - returned;
  });
}

async function commits(): Promise<void> {
  const count = scale(1_000);
  const databases = makeDatabases(count, 1_000_000);
  using _ = databases.directory;
  {
    await using first = start(databases.config);
    await new Events(first).atRest(count);
    await first.end("SIGTERM");
  }
  await using replicator = start(databases.config);
  const events = new Events(replicator);
  const rows = [[`${count} databases of 1 MB, 10 commits/s`, "p50", "p99", "longest", "target"]];
  for (const keepsConnections of [true, false]) {
    await events.atRest(count);
    const measured = await latencies(databases, keepsConnections);
    rows.push([
      keepsConnections ? "connections stay open" : "each is closed after its commit",
      ...[0.5, 0.99, 1].map((share) => formatMs(percentile(measured, share))),
      keepsConnections ? "p99 100 ms" : "",
    ]);
  }
  const peakBytes = peakResidentBytes(processTree(replicator.pid));
  rows.push(["peak memory", formatMegabytes(peakBytes), "", "", ""]);
  await replicator.end("SIGTERM");
  printTable(rows);
}

async function large(): Promise<void> {
  const count = scale(10_000);
  const { directory, paths, config } = makeDatabases(count, 100_000);
  using _ = directory;
  const rows = [
    [`${count} databases of 100 KB`, "time", "peak memory", "requests", "opened", "target"],
  ];
  const run = async (name: string, target: string): Promise<void> => {
    const startMs = monotonicMs();
    await using replicator = start(config);
    const events = new Events(replicator);
    await events.atRest(count);
    const elapsedMs = monotonicMs() - startMs;
    const peakBytes = peakResidentBytes(processTree(replicator.pid));
    const opened = String(events.count("database.attached"));
    const requests = String(events.requests);
    await replicator.end("SIGTERM");
    rows.push([
      name,
      formatSeconds(elapsedMs),
      formatMegabytes(peakBytes),
      requests,
      opened,
      target,
    ]);
  };
  await run("first start", "");
  const changed = paths.filter((_path, i) => i % 100 === 0);
  for (const path of changed) {
    using db = new DatabaseSync(path);
    db.exec("UPDATE t SET body = hex(randomblob(500)) WHERE id = 7");
  }
  await run(`start, ${changed.length} changed`, "60 s, 700 MB, only for the changed");
  printTable(rows);
}

buildProduct();
if (which === "all" || which === "idle") await idle();
if (which === "all" || which === "commits") await commits();
if (which === "all" || which === "large") await large();
