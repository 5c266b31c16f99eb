// An idle database: what `headwater replicate` costs in 60 s, from 5 s after it has attached, while its application has
// the database open and does nothing. It has been replicated by an earlier run: after a change the levels are made, the
// last within the hour, and then nothing is due. Processor time of all its processes and threads as the scheduler
// counts it, and requests to the object store from its debug log. Argument: seconds (60).
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { temporaryDirectory } from "../test/support/temporary.ts";
import { numberArgument } from "./support/arguments.ts";
import { processTree, processorMs } from "./support/processes.ts";
import { buildProduct, startReplicating } from "./support/product.ts";
import { formatMs } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";

const seconds = numberArgument(0, 60);

buildProduct();
using directory = temporaryDirectory();
const path = directory.file("app.db");
using db = new DatabaseSync(path);
db.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1)");
const flags = ["--log-level", "debug"];
{
  await using earlier = await startReplicating(path, directory.url("replica"), flags);
  await earlier.end("SIGTERM");
  if (!earlier.lines.some((line) => line.includes(" store.put ")))
    throw new Error("The log does not show requests, so it cannot show that there are none.");
}
await using replicator = await startReplicating(path, directory.url("replica"), flags);
await pause(5_000);
const processes = processTree(replicator.pid);
const [startMs, startLine] = [processorMs(processes), replicator.lines.length];
await pause(seconds * 1_000);
const usedMs = processorMs(processes) - startMs;
const requests = replicator.lines.slice(startLine).filter((line) => line.includes(" store."));
printTable([
  [`idle for ${seconds} s, ${processes.length} process`, "measured", "target"],
  ["processor time", formatMs(usedMs), "100 ms"],
  ["requests to the object store", String(requests.length), "0"],
]);
