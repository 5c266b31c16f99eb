// Reads a file over and over at a steady rate until its input ends: what any program costs an application that reads
// its database as fast as a first image does, and nothing more.
import { openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [, , path = "", bytesPerSecond = ""] = process.argv;
const ended = new AbortController();
process.stdin.on("end", () => ended.abort()).resume();
const file = openSync(path, "r");
const chunk = new Uint8Array(1 << 20);
const startMs = performance.now();
for (let total = 0, at = 0; !ended.signal.aborted;) {
  const count = readSync(file, chunk, 0, chunk.length, at);
  at = count === 0 ? 0 : at + count;
  total += count;
  await sleep(Math.max(0, startMs + (total * 1000) / Number(bytesPerSecond) - performance.now()));
}
process.exit(0);
