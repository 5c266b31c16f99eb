// Starts SQLite's thread as a Node worker, for the replica that needs it or ahead of it.
import { Worker } from "node:worker_threads";
import type { Message } from "../../core/vfs/protocol.ts";
import type { SqliteThread } from "../../core/vfs/sqlite-client.ts";
import { siblingModule } from "../base/sibling-module.ts";
import { readyMessage } from "./ready-message.ts";

/** What Node gives a thread that has ended. */
const endedThreadId = -1;

interface StartedThread extends SqliteThread {
  /** Rejects if it ends before. */
  readonly ready: Promise<void>;
}

/** A thread that no replica has taken over yet. */
let spare: StartedThread | undefined;

/**
 * Loads SQLite for the next `openReplica`, which is then as fast as it can be. Keeps no process alive. Call it again to have
 * another one ready. Throws what keeps the thread from starting.
 */
export async function preloadSqlite(): Promise<void> {
  spare ??= startThread();
  const thread = spare;
  // What is loaded when it is used otherwise.
  const parts = [import("../store/file-store.ts"), import("../../core/store/retrying-store.ts")];
  await Promise.all([thread.ready, ...parts]);
  // It may have found its replica meanwhile.
  if (spare === thread) thread.keepAlive(false);
}

/**
 * The thread that was started ahead, or a new one. That takes its time, in which the replica can be opened; a `SqliteClient`
 * then takes it over.
 */
export function startSqliteThread(): SqliteThread {
  const thread = spare ?? startThread();
  spare = undefined;
  thread.keepAlive(true);
  return thread;
}

function startThread(): StartedThread {
  const worker = new Worker(siblingModule(import.meta.url, "sqlite-thread"), {
    name: "headwater-sqlite",
    // What the caller's program was started with is none of the thread's business.
    execArgv: [],
    env: {},
  });
  const ready = Promise.withResolvers<void>();
  worker.once("message", () => ready.resolve());
  // An error that nobody listens for would end the process; its client sees that the thread has ended.
  worker.on("error", (error) => ready.reject(error));
  worker.on("exit", () => ready.reject(new Error("SQLite's thread ended while it was starting.")));
  // Of a thread that is not preloaded nobody asks.
  ready.promise.catch(() => undefined);
  const thread: StartedThread = {
    ready: ready.promise,
    post: (message) => worker.postMessage(message, []),
    listen: ({ onMessage, onEnd }) => {
      worker.on("message", (message: Message | typeof readyMessage) => {
        if (message !== readyMessage) onMessage(message);
      });
      worker.on("error", (error) => onEnd(error));
      worker.on("exit", () => onEnd(undefined));
      if (worker.threadId === endedThreadId) onEnd(undefined);
    },
    keepAlive: (isNeeded) => (isNeeded ? worker.ref() : worker.unref()),
    [Symbol.asyncDispose]: async () => void (await worker.terminate()),
  };
  worker.on("exit", () => {
    if (spare === thread) spare = undefined;
  });
  return thread;
}
