// SQLite's thread in a browser: the same worker module once more, in another role.
import type { Message } from "../core/vfs/protocol.ts";
import type { SqliteThread } from "../core/vfs/sqlite-client.ts";
import type { WorkerRole } from "./worker-messages.ts";

/** Starts it from within a worker of ours. It takes its time, in which the replica can be opened. */
export function startSqliteWorker(sqliteUrl: string | undefined): SqliteThread {
  const worker = new Worker(globalThis.location.href, { type: "module", name: "headwater-sqlite" });
  const role: WorkerRole = { role: "sqlite", sqliteUrl };
  worker.postMessage(role);
  const failed = Promise.withResolvers<Error>();
  worker.addEventListener("error", (event) => {
    // It would go on to the page, as an error of the worker that this one was started from.
    event.preventDefault();
    failed.resolve(new Error(problemOf(event)));
  });
  return {
    post: (message) => worker.postMessage(message),
    listen: ({ onMessage, onEnd }) => {
      worker.addEventListener("message", ({ data }: MessageEvent<Message>) => onMessage(data));
      void failed.promise.then(onEnd);
    },
    // A page lives for as long as it is open.
    keepAlive: () => undefined,
    // The worker that it was started from ends with its replica.
    release: async () => worker.terminate(),
    [Symbol.asyncDispose]: async () => worker.terminate(),
  };
}

/** What a worker ended with. An event without a message tells that its module could not be loaded. */
export function problemOf({ message }: Partial<ErrorEvent>): string {
  return message ?? "its module could not be loaded";
}
