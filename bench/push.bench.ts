// From the return of a commit on the primary until it can be read on a follower by push, one commit a second, with the
// default intervals and with `push-interval: 0`. Primary, writer, this program with its open replica, and a followed file are
// four processes on one machine; the replica is `file://`. The open replica is asked for its TXID every millisecond; the
// follower of the file prints a line of JSON when a change is in it.
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startModule } from "../test/support/children.ts";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { monotonicMs } from "./support/paced-writer.ts";
import type { PacedOptions, PacedResult } from "./support/paced-writer.ts";
import type { openReplica as OpenReplicaOfSource } from "../src/index.ts";
import { buildProduct, productEntry, startHeadwater } from "./support/product.ts";
import { formatMs, percentile } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

type OpenReplica = typeof OpenReplicaOfSource;

const writerModule = fileURLToPath(new URL("support/paced-writer.ts", import.meta.url));
const commits = 40;

const cases = [
  { name: "default, push-interval 50 ms", keys: "", target: "100 ms" },
  { name: "push-interval 0", keys: "push-interval: 0s\n", target: "20 ms" },
] as const;

interface Latencies {
  readonly open: readonly number[];
  readonly followed: readonly number[];
}

/** For each commit the time until each follower had a state that came after it. */
async function measure(keys: string): Promise<Latencies> {
  using directory = temporaryDirectory();
  const path = directory.file("app.db");
  const replica = directory.url("replica");
  const options: PacedOptions = {
    path,
    synchronous: "FULL",
    commitsPerSecond: 1,
    rowsPerCommit: 3,
    commits: 1,
  };
  await startModule(writerModule, options).success();
  const config = directory.file("headwater.yml");
  const database = `dbs:\n  - path: ${path}\n    replica:\n      url: ${replica}\n`;
  writeFileSync(config, `addr: 127.0.0.1:0\npush:\n  enabled: true\n${keys}${database}`);
  await using primary = startHeadwater(["replicate", "-config", config]);
  const line = await primary.line((text) => text.includes("metrics.listening"));
  const address = /address=(?<address>\S+)/u.exec(line)?.groups?.["address"] ?? "";
  await primary.line((text) => text.includes("database.replicating"));
  await pause(2_000);
  const push = `${address}/databases/app`;
  const output = directory.file("followed.db");
  const { openReplica } = (await import(productEntry)) as { openReplica: OpenReplica };
  await using db = await openReplica(replica, { follow: true, push });
  await using follower = startHeadwater(["follow", replica, "-o", output, "-push", push, "-json"]);
  await follower.line((text) => text.startsWith("{"));
  await pause(2_000);
  const [openAtMs, followedAtMs]: [number[], number[]] = [[], []];
  const ended = new AbortController();
  const watching = [
    note(openAtMs, () => db.txid, ended.signal),
    note(followedAtMs, () => follower.lines.length, ended.signal),
  ];
  await using writer = startModule(writerModule, { ...options, commits });
  const { returnedAtMs } = JSON.parse((await writer.success()).at(-1) ?? "") as PacedResult;
  await pause(2_000);
  ended.abort();
  await Promise.all(watching);
  const until = (seenAtMs: readonly number[]): number[] =>
    returnedAtMs.map((returned) => {
      const seen = seenAtMs.find((ms) => ms > returned);
      if (seen === undefined) throw new Error("A commit never reached the follower.");
      return seen - returned;
    });
  return { open: until(openAtMs), followed: until(followedAtMs) };
}

function figures(all: readonly number[]): string[] {
  return [0.5, 0.9, 1].map((share) => formatMs(percentile(all, share)));
}

/** Notes when a value is another one. */
async function note(times: number[], value: () => unknown, signal: AbortSignal): Promise<void> {
  let last = value();
  while (!signal.aborted) {
    await pause(1);
    const now = value();
    if (now === last) continue;
    last = now;
    times.push(monotonicMs());
  }
}

buildProduct();
const rows = [["commit to visible on a follower by push", "p50", "p90", "longest", "target p50"]];
for (const { name, keys, target } of cases) {
  const { open, followed } = await measure(keys);
  rows.push([`open replica, ${name}`, ...figures(open), target]);
  rows.push([`followed file, ${name}`, ...figures(followed), target]);
}
printTable(rows);
