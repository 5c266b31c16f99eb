// The caller's end of SQLite's thread: starts it, hands it one request at a time, and answers what it asks meanwhile.
import { Worker } from "node:worker_threads";
import { Mutex } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { toError } from "../base/sent-error.ts";
import { siblingModule } from "../base/sibling-module.ts";
import type { PageDesk } from "./page-desk.ts";
import type { Message, Reply, Request, RowsReply } from "./protocol.ts";

/** A request as the client takes it. */
export type AskedRequest = Request extends infer R
  ? R extends unknown
    ? Omit<R, "newest">
    : never
  : never;

/** Starts SQLite's thread. It takes its time, in which the replica can be opened; a `SqliteClient` then takes it over. */
export function startSqliteThread(): Worker {
  const worker = new Worker(siblingModule(import.meta.url, "sqlite-thread"), {
    name: "headwater-sqlite",
    // What the caller's program was started with is none of the thread's business.
    execArgv: [],
    env: {},
  });
  // An error that nobody listens for would end the process; its client sees that the thread has ended.
  worker.on("error", () => undefined);
  return worker;
}

/** What Node gives a thread that has ended. */
const endedThreadId = -1;

/** SQLite in a thread of its own. It keeps the process alive only while it has something to do. */
export class SqliteClient implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #desk: PageDesk;
  readonly #turn = new Mutex();
  /** Ends what SQLite waits for when the client is disposed. */
  readonly #closing = new AbortController();
  #reply: PromiseWithResolvers<Reply> | undefined;
  #signal: AbortSignal = this.#closing.signal;
  #ended: Error | undefined;

  /** Owns both from now on. `name` is what SQL calls the replica. */
  constructor(worker: Worker, desk: PageDesk, { name }: { readonly name: string }) {
    this.#worker = worker;
    this.#desk = desk;
    worker.on("message", (message: Message) => void this.#hear(message));
    worker.on("error", (error) => this.#end(error));
    worker.on("exit", () => this.#end(undefined));
    if (worker.threadId === endedThreadId) this.#end(undefined);
    const data = desk.threadData(name);
    worker.postMessage(data, [data.views]);
    worker.unref();
  }

  /** Throws what SQLite or the store says, `query/closed`, or the signal's reason as soon as SQLite has stopped. */
  ask(request: AskedRequest, { signal }: Waiting): Promise<RowsReply> {
    return this.#turn.run(() => this.#ask(request, signal), { signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#desk.isCancelled = true;
    this.#closing.abort(closed());
    // Whoever is in the middle of something hears of it before the thread goes.
    await this.#reply?.promise.catch(() => undefined);
    await this.#worker.terminate();
    this.#end(undefined);
    this.#desk[Symbol.dispose]();
  }

  async #ask(request: AskedRequest, signal: AbortSignal | undefined): Promise<RowsReply> {
    this.#closing.signal.throwIfAborted();
    if (this.#ended !== undefined) throw this.#ended;
    const { signal: closing } = this.#closing;
    this.#signal = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    this.#desk.isCancelled = false;
    const cancel = (): void => {
      this.#desk.isCancelled = true;
    };
    signal?.addEventListener("abort", cancel);
    this.#reply = Promise.withResolvers();
    this.#worker.ref();
    try {
      this.#desk.tellNewest((newest) => this.#send({ ...request, newest }));
      const reply = await this.#reply.promise;
      this.#desk.settle(reply);
      const failure = this.#desk.takeFailure();
      if (reply.kind === "rows") return reply;
      this.#signal.throwIfAborted();
      throw reply.error === undefined ? failure : toError(reply.error);
    } finally {
      signal?.removeEventListener("abort", cancel);
      this.#reply = undefined;
      this.#worker.unref();
    }
  }

  #send(request: Request): void {
    try {
      this.#worker.postMessage(request, []);
    } catch (cause) {
      throw new HeadwaterError(
        "usage/invalid",
        `A parameter is no value that SQLite has (${messageOf(cause)}): give strings, numbers, bigints, booleans, ` +
          "Uint8Arrays or null.",
        { cause },
      );
    }
  }

  async #hear(message: Message): Promise<void> {
    if (message.kind === "reply") this.#reply?.resolve(message.reply);
    else await this.#desk.answer(message, { signal: this.#signal });
  }

  #end(error: Error | undefined): void {
    this.#ended ??= closed(error);
    this.#reply?.reject(this.#ended);
  }
}

function closed(cause?: Error): HeadwaterError {
  return new HeadwaterError(
    "query/closed",
    cause === undefined
      ? "The replica was closed. Open it again."
      : `The thread that SQLite runs in has ended: ${cause.message}. Open the replica again.`,
    { cause },
  );
}
