// Copies a file as `cp` does, 1 MiB at a time, and syncs the copy: the least that anything which makes a second durable
// file out of a first one has to do. Prints nothing.
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";

const [, , from = "", to = ""] = process.argv;
const source = openSync(from, "r");
const target = openSync(to, "wx");
const chunk = new Uint8Array(1 << 20);
for (let count = readSync(source, chunk); count > 0; count = readSync(source, chunk)) {
  writeSync(target, chunk, 0, count);
}
fsyncSync(target);
closeSync(target);
closeSync(source);
