// Starts SQLite's thread as a Node worker.
import { Worker } from "node:worker_threads";
import { siblingModule } from "../base/sibling-module.ts";
import type { Message } from "../../core/vfs/protocol.ts";
import type { SqliteThread } from "../../core/vfs/sqlite-client.ts";

/** What Node gives a thread that has ended. */
const endedThreadId = -1;

/** Starts SQLite's thread. It takes its time, in which the replica can be opened; a `SqliteClient` then takes it over. */
export function startSqliteThread(): SqliteThread {
  const worker = new Worker(siblingModule(import.meta.url, "sqlite-thread"), {
    name: "headwater-sqlite",
    // What the caller's program was started with is none of the thread's business.
    execArgv: [],
    env: {},
  });
  // An error that nobody listens for would end the process; its client sees that the thread has ended.
  worker.on("error", () => undefined);
  return {
    mayOwnerWait: true,
    post: (message) => worker.postMessage(message, []),
    listen: ({ onMessage, onEnd }) => {
      worker.on("message", (message: Message) => onMessage(message));
      worker.on("error", (error) => onEnd(error));
      worker.on("exit", () => onEnd(undefined));
      if (worker.threadId === endedThreadId) onEnd(undefined);
    },
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    [Symbol.asyncDispose]: async () => void (await worker.terminate()),
  };
}
