// The process that holds SQLite for a replication started by `replicate`. Two SQLite libraries in one process
// destroy each other's locks, and user code that opens and closes the database file does the same; here is neither.
// It ends, after a last sync, when its parent is gone.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { sendable, toSent } from "../../core/base/sent-error.ts";
import type { FromEngine, ToEngine } from "./engine-messages.ts";
import { shutdownSyncMs, startEngine } from "./running-engine.ts";
import type { RunningEngine } from "./running-engine.ts";

const starting = new AbortController();
let engine: Promise<RunningEngine> | undefined;
let isStopping = false;

const logger: Logger = {
  log: (level, event, fields = {}) => send({ kind: "log", level, event, fields: sendable(fields) }),
};

process.on("message", (message) => {
  // The parent is our own code of the same version.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  void handle(message as ToEngine);
});
process.on("disconnect", () => void stop());
// A terminal sends its signals to the whole group: the parent decides when to stop, by message or by ending.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => void stop());

async function handle(message: ToEngine): Promise<void> {
  switch (message.kind) {
    case "start":
      return start(message);
    case "sync":
      return answer(message.id, async (running) => {
        send({ kind: "synced", id: message.id, txid: await running.sync() });
      });
    case "status":
      return answer(message.id, async (running) => {
        send({ kind: "status", id: message.id, status: running.status() });
      });
    case "stop":
      return stop();
  }
}

async function start({ options }: ToEngine & { kind: "start" }): Promise<void> {
  engine = startEngine(options, { logger }, { signal: starting.signal });
  try {
    const running = await engine;
    send({ kind: "ready" });
    await running.ended();
  } catch (error) {
    if (isStopping) return;
    send({ kind: "failed", error: toSent(error) });
    await stop();
  }
}

async function answer(id: number, work: (running: RunningEngine) => Promise<void>): Promise<void> {
  try {
    if (engine === undefined)
      throw new HeadwaterError("engine/stopped", "The replication has not started.");
    await work(await engine);
  } catch (error) {
    send({ kind: "failed", id, error: toSent(error) });
  }
}

async function stop(): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  starting.abort(
    new HeadwaterError("engine/stopped", "The replication was stopped before it had started."),
  );
  let exitCode = 0;
  const running = await engine?.catch(() => undefined);
  try {
    await running?.stop({ signal: AbortSignal.timeout(shutdownSyncMs) });
    send({ kind: "stopped" });
  } catch (error) {
    exitCode = 1;
    send({ kind: "failed", error: toSent(error) });
  }
  if (process.connected) process.disconnect();
  process.exit(exitCode);
}

function send(message: FromEngine): void {
  // A parent that is gone cannot be told; the `disconnect` event stops us.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
