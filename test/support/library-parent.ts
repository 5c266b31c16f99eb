// A program that replicates through the library, for tests that kill it.
import { replicate } from "../../src/node/engine/replicate.ts";
import type { ReplicateOptions } from "../../src/node/engine/engine-options.ts";

const replication = await replicate(JSON.parse(process.argv[2] ?? "{}") as ReplicateOptions);
console.log("replicating");
await replication.ended();
