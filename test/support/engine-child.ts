// One engine in a process of its own, for tests that kill it: at a moment, or at its n-th call to the file system.
// Takes `sync <tag>`, `status` and `stop` on its input, `fail` and `heal` for its stores (`fail <match>` for those whose
// URL contains `match`), `break <code> <match>` and
// `mend` for its calls to the file system whose name and path contain `match`; prints `ready`, `synced <tag> <txid>`, `status <json>`,
// `log <level> <event> <json>`, `stopped` and `failed <code> <message>`.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { HeadwaterError, messageOf } from "../../src/core/base/errors.ts";
import { decodeHeader } from "../../src/core/ltx/header.ts";
import { formatTxid } from "../../src/core/ltx/txid.ts";
import { createFaultyFileSystem } from "../../src/core/testing/faulty-file-system.ts";
import { createFaultyStore } from "../../src/core/testing/faulty-store.ts";
import type { StoreCall, StoreFault } from "../../src/core/testing/faulty-store.ts";
import type { Clock } from "../../src/core/base/clock.ts";
import { systemClock } from "../../src/node/base/clock.ts";
import { resolveOptions } from "../../src/node/engine/engine-options.ts";
import { startEngine } from "../../src/node/engine/running-engine.ts";
import type { RunningEngine } from "../../src/node/engine/running-engine.ts";
import { StagedFeed } from "../../src/node/engine/staged-feed.ts";
import { nodeFileSystem } from "../../src/node/file/node-file-system.ts";
import type { EngineChildOptions } from "./engine.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as EngineChildOptions;
const stopping = new AbortController();
let running: RunningEngine | undefined;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Wall-clock time stays as it is; everything that waits waits less. */
function fasterClock(clock: Clock, speed: number): Clock {
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs() * speed,
    sleep: (ms, waiting) => clock.sleep(ms / speed, waiting),
  };
}

const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, field: unknown) =>
    typeof field === "bigint" ? field.toString() : field,
  );

function fail(error: unknown): void {
  print(`failed ${error instanceof HeadwaterError ? error.code : "bug"} ${messageOf(error)}`);
}

/** What `break` has set. */
let broken: { readonly code: string; readonly match: string } | undefined;

const fileSystem = createFaultyFileSystem(nodeFileSystem, ({ name, path, index }) => {
  if (options.printCalls === true) print(`call ${index} ${name} ${path}`);
  const isLast =
    index === options.killAtCall ||
    (options.killBefore !== undefined && `${name} ${path}`.includes(options.killBefore));
  if (isLast) process.kill(process.pid, "SIGKILL");
  if (broken !== undefined && `${name} ${path}`.includes(broken.match)) return broken.code;
  const { fault } = options;
  if (fault === undefined) return undefined;
  const isMeant = index >= fault.fromCall && index < fault.fromCall + fault.calls;
  return isMeant && `${name} ${path}`.includes(fault.match) ? fault.code : undefined;
});

/** What the URLs of the stores that are away contain. */
let storeDown: string | undefined = options.storeDown;

function storeFault(url: string, { operation, key, index }: StoreCall): StoreFault | undefined {
  if (options.printCalls === true) print(`store ${index} ${operation} ${key}`);
  if (storeDown !== undefined && url.includes(storeDown)) return { kind: "fail" };
  const { storeFault: meant } = options;
  if (
    meant !== undefined &&
    meant.operations.includes(operation) &&
    index >= meant.fromCall &&
    index < meant.fromCall + meant.calls
  )
    return meant.fault;
  const bytesPerSecond = options.throttleBytesPerSecond;
  return bytesPerSecond !== undefined && operation === "put"
    ? { kind: "throttle", bytesPerSecond }
    : undefined;
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, tag] = line.split(" ");
  if (verb === "sync") {
    running?.sync().then((txid) => print(`synced ${tag} ${formatTxid(txid)}`), fail);
  } else if (verb === "status") {
    print(`status ${toJson(running?.status())}`);
  } else if (verb === "break" || verb === "mend") {
    const [, code = "", ...match] = line.split(" ");
    broken = verb === "break" ? { code, match: match.join(" ") } : undefined;
    print(verb);
  } else if (verb === "fail" || verb === "heal") {
    storeDown = verb === "fail" ? (tag ?? "") : undefined;
    print(verb);
  } else if (verb === "stop") {
    void stop();
  }
});
process.on("SIGTERM", () => void stop());

async function stop(): Promise<void> {
  if (stopping.signal.aborted) return;
  stopping.abort();
  try {
    await running?.stop({ signal: AbortSignal.timeout(options.shutdownMs ?? 30_000) });
    print("stopped");
    process.exit(0);
  } catch (error) {
    fail(error);
    process.exit(1);
  }
}

const feed =
  options.followed === true
    ? new StagedFeed({ clock: systemClock, restingTxid: () => undefined })
    : undefined;

/** Follows from the newest TXID on; from there again after a reset. */
async function followFeed(followed: StagedFeed): Promise<void> {
  while (!stopping.signal.aborted) {
    const after = running?.status().txid ?? 0n;
    for await (const frame of followed.follow(after, stopping)) {
      if (frame.kind === "durable") print(`told ${frame.txid}`);
      if (frame.kind !== "file") continue;
      const digest = createHash("sha256").update(frame.bytes).digest("hex");
      print(`pushed ${formatTxid(decodeHeader(frame.bytes).maxTxid)} ${digest}`);
    }
    await pause(20);
  }
}

try {
  running = await startEngine(
    resolveOptions(options),
    {
      fileSystem,
      clock: fasterClock(systemClock, options.clockSpeed ?? 1),
      once: options.once,
      feed,
      logger: {
        log: (level, event, fields) => {
          if (options.logs !== false) print(`log ${level} ${event} ${toJson(fields ?? {})}`);
        },
      },
      wrapStore: (store) =>
        createFaultyStore(store, {
          clock: systemClock,
          plan: (call) => storeFault(store.url, call),
        }),
    },
    { signal: stopping.signal },
  );
  if (feed !== undefined) void followFeed(feed);
  print("ready");
  await running.ended();
} catch (error) {
  if (!stopping.signal.aborted) {
    fail(error);
    process.exit(1);
  }
}
