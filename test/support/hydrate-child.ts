// One hydrator in a process of its own, for tests that kill it at its n-th call to the file system. Prints
// `at <txid>` for each TXID that its newest copy gets to.
import { formatTxid, toTxid } from "../../src/core/ltx/txid.ts";
import { createFaultyFileSystem } from "../../src/core/testing/faulty-file-system.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";
import { openCopies } from "./copies.ts";

export interface HydrateChildOptions {
  readonly url: string;
  readonly path: string;
  /** TXIDs to go to, one after the other. */
  readonly targets: readonly number[];
  /** Dies by SIGKILL right before its n-th call to the file system, counted from 1. */
  readonly killAtCall?: number | undefined;
}

const options = JSON.parse(process.argv[2] ?? "{}") as HydrateChildOptions;

const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ index }) => {
  if (index === options.killAtCall) process.kill(process.pid, "SIGKILL");
  return undefined;
});

await using opened = await openCopies(options.url, options.path, { fileSystem });
for (const txid of options.targets) {
  await opened.to(txid);
  process.stdout.write(`at ${formatTxid(toTxid(txid))}\n`);
}
