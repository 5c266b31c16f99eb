// SQLite's thread as a Node worker. One that has served its replica is kept for the next, to which everything in it is as good
// as compiled; and one can be started ahead of the first.
import { Worker } from "node:worker_threads";
import type { Message, ThreadMessage } from "../../core/vfs/protocol.ts";
import type { SqliteThread, ThreadListener } from "../../core/vfs/sqlite-client.ts";
import { siblingModule } from "../base/sibling-module.ts";

/** A thread that serves nobody. Keeps no process alive. */
let spare: StartedThread | undefined;

/** Whether the next replica gets a thread that is there already. */
export function hasSpareThread(): boolean {
  return spare !== undefined;
}

/**
 * A thread that was there already, or a new one. That takes its time, in which the replica can be opened; a `SqliteClient`
 * then takes it over.
 */
export function startSqliteThread(): SqliteThread {
  const started = spare ?? new StartedThread();
  spare = undefined;
  return started.lend();
}

/** False: there is a spare one. */
function keep(thread: StartedThread): boolean {
  if (spare !== undefined) return false;
  spare = thread;
  return true;
}

class StartedThread {
  readonly #worker: Worker;
  #listener: ThreadListener | undefined;
  #ended: { readonly error: Error | undefined } | undefined;

  constructor() {
    const worker = new Worker(siblingModule(import.meta.url, "sqlite-thread"), {
      name: "headwater-sqlite",
      // What the caller's program was started with is none of the thread's business.
      execArgv: [],
      env: {},
    });
    this.#worker = worker;
    worker.on("message", (message: Message) => this.#listener?.onMessage(message));
    // An error that nobody listens for would end the process.
    worker.on("error", (error) => this.#end(error));
    worker.on("exit", () => this.#end(undefined));
  }

  /** For one owner, whose it is until it is disposed or released. */
  lend(): SqliteThread {
    const worker = this.#worker;
    worker.ref();
    let isOver = false;
    const over = async (end: () => Promise<void>): Promise<void> => {
      if (isOver) return;
      isOver = true;
      this.#listener = undefined;
      await end();
    };
    return {
      post: (message: ThreadMessage) => worker.postMessage(message, []),
      listen: (listener) => {
        this.#listener = listener;
        if (this.#ended !== undefined) listener.onEnd(this.#ended.error);
      },
      keepAlive: (isNeeded) => {
        if (isOver) return;
        if (isNeeded) worker.ref();
        else worker.unref();
      },
      release: () => over(() => this.#rest()),
      [Symbol.asyncDispose]: () => over(() => this.#terminate()),
    };
  }

  /** Waits for its next owner, unless there is another that does. */
  async #rest(): Promise<void> {
    if (this.#ended !== undefined || !keep(this)) return this.#terminate();
    this.#worker.unref();
  }

  async #terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #end(error: Error | undefined): void {
    if (spare === this) spare = undefined;
    this.#ended ??= { error };
    this.#listener?.onEnd(error);
  }
}
