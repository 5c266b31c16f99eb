// An application with many databases: commits to one after the other at a steady rate, on connections that it keeps, or
// closing each after its commit. Prints one line of JSON at the end.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMs } from "./paced-writer.ts";

export interface RoundRobinOptions {
  readonly paths: readonly string[];
  readonly commitsPerSecond: number;
  readonly commits: number;
  readonly keepsConnections: boolean;
}

export interface RoundRobinResult {
  /** When each commit returned, in milliseconds of the machine's monotonic clock. */
  readonly returnedAtMs: readonly number[];
}

const { paths, commitsPerSecond, commits, keepsConnections } = JSON.parse(
  process.argv[2] ?? "{}",
) as RoundRobinOptions;
const startMs = monotonicMs();
const returnedAtMs: number[] = [];
const kept = new Map<string, DatabaseSync>();
for (let i = 0; i < commits; i++) {
  await sleep(Math.max(0, startMs + (i * 1000) / commitsPerSecond - monotonicMs()));
  const path = paths[i % paths.length] ?? "";
  const db = kept.get(path) ?? new DatabaseSync(path, { timeout: 10_000 });
  db.exec("UPDATE t SET body = hex(randomblob(500)) WHERE id = 7");
  returnedAtMs.push(monotonicMs());
  if (keepsConnections) kept.set(path, db);
  else db.close();
}
const result: RoundRobinResult = { returnedAtMs };
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
