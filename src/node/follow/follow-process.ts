// The process that follows for `follow`: it holds SQLite and the descriptor of the output, and there is nothing else in it
// that could open and close that file, which would drop SQLite's locks. It ends when its parent is gone.
import type { Logger } from "../../core/base/log.ts";
import { sendable, toSent } from "../../core/base/sent-error.ts";
import { systemEnvironment } from "../restore/environment.ts";
import type { FromFollower, ToFollower } from "./follow-messages.ts";
import { type RunningFollower, startFollower } from "./running-follower.ts";

const starting = new AbortController();
let running: Promise<RunningFollower> | undefined;

const logger: Logger = {
  log: (level, event, fields = {}) => send({ kind: "log", level, event, fields: sendable(fields) }),
};

process.on("message", (message) => {
  // The parent is our own code of the same version.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  void handle(message as ToFollower);
});
process.on("disconnect", () => void stop());
// A terminal sends its signals to the whole group: the parent decides when to stop.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => void stop());

async function handle(message: ToFollower): Promise<void> {
  if (message.kind === "stop") return stop();
  running = startFollower(message.options, systemEnvironment(logger), {
    signal: starting.signal,
    onStatus: (status) => send({ kind: "status", status }),
    onBytes: (doneBytes, totalBytes) => send({ kind: "progress", doneBytes, totalBytes }),
  });
  try {
    const status = (await running).status();
    if (status !== undefined) send({ kind: "status", status });
    send({ kind: "ready" });
  } catch (error) {
    send({ kind: "failed", error: toSent(error) });
    await stop();
  }
}

async function stop(): Promise<void> {
  starting.abort();
  const follower = await running?.catch(() => undefined);
  await follower?.[Symbol.asyncDispose]();
  if (process.connected) process.disconnect();
  process.exit(0);
}

function send(message: FromFollower): void {
  // A parent that is gone cannot be told; the `disconnect` event stops us.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
