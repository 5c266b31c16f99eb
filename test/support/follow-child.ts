// One follower in a process of its own, for tests that kill it: at a moment, or at its n-th call to the file system. Takes
// `stop` on its input; prints `ready`, `txid <txid>` for each new one, `upToDate <txid>` whenever the replica had no more, `log <level>
// <event> <json>`, `stopped` and `failed <code> <message>`.
import { createInterface } from "node:readline";
import { HeadwaterError, messageOf } from "../../src/core/base/errors.ts";
import { formatTxid } from "../../src/core/ltx/txid.ts";
import { createFaultyFileSystem } from "../../src/core/testing/faulty-file-system.ts";
import type { FollowStatus } from "../../src/node/follow/follow-options.ts";
import { resolveFollowOptions } from "../../src/node/follow/follow-options.ts";
import { startFollower } from "../../src/node/follow/running-follower.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";

export interface FollowChildOptions {
  readonly url: string;
  readonly output: string;
  /** Dies by SIGKILL right before its n-th call to the file system, counted from 1. */
  readonly killAtCall?: number | undefined;
}

const options = JSON.parse(process.argv[2] ?? "{}") as FollowChildOptions;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, field: unknown) =>
    typeof field === "bigint" ? field.toString() : field,
  );

const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ index }) => {
  if (index === options.killAtCall) process.kill(process.pid, "SIGKILL");
  return undefined;
});

let shown: string | undefined;
let upToDateAtMs: number | undefined;

function show(status: FollowStatus): void {
  const txid = formatTxid(status.txid);
  if (txid !== shown) print(`txid ${txid}`);
  shown = txid;
  if (status.upToDateAtMs !== upToDateAtMs) print(`upToDate ${txid}`);
  upToDateAtMs = status.upToDateAtMs;
}

try {
  const environment = systemEnvironment({
    log: (level, event, fields) => print(`log ${level} ${event} ${toJson(fields ?? {})}`),
  });
  const { url, output } = options;
  const follower = await startFollower(
    resolveFollowOptions(url, { output, intervalMs: 20 }),
    { ...environment, fileSystem },
    { onStatus: show },
  );
  const status = follower.status();
  if (status !== undefined) show(status);
  print("ready");
  for await (const line of createInterface({ input: process.stdin })) if (line === "stop") break;
  await follower[Symbol.asyncDispose]();
  print("stopped");
  process.exit(0);
} catch (error) {
  print(`failed ${error instanceof HeadwaterError ? error.code : "bug"} ${messageOf(error)}`);
  process.exit(1);
}
