// The caller's end of SQLite's thread: hands it one request at a time, and answers what it asks meanwhile.
import { Mutex } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { toError } from "../base/sent-error.ts";
import type { PageDesk } from "./page-desk.ts";
import type { Message, Reply, Request, RowsReply, ThreadMessage } from "./protocol.ts";
import { closed, postRequest } from "./thread-errors.ts";

/** What a thread tells its owner. */
export interface ThreadListener {
  readonly onMessage: (message: Message) => void;
  /** It has ended, by itself or because of an error. */
  readonly onEnd: (error: Error | undefined) => void;
}

/** A thread that SQLite is loaded in: a worker of Node or of a browser. Disposing it ends it, whatever it does; may happen twice. */
export interface SqliteThread extends AsyncDisposable {
  post(message: ThreadMessage): void;
  /** Tells of everything from now on, and of the end also if it was before. Once. */
  listen(listener: ThreadListener): void;
  /** Whether a program that has nothing else to do waits for the thread. */
  keepAlive(isNeeded: boolean): void;
  /** In place of disposing it, by an owner that has told it `end`: another may have it. */
  release(): Promise<void>;
}

/** SQLite in a thread of its own. It keeps the process alive only while it has something to do. */
export class SqliteClient implements AsyncDisposable {
  readonly #thread: SqliteThread;
  readonly #desk: PageDesk;
  readonly #turn = new Mutex();
  /** Ends what SQLite waits for when the client is disposed. */
  readonly #closing = new AbortController();
  #reply: PromiseWithResolvers<Reply> | undefined;
  #signal: AbortSignal = this.#closing.signal;
  #ended: Error | undefined;
  #isInTransaction = false;

  /** Owns both from now on. `name` is what SQL calls the replica. */
  constructor(thread: SqliteThread, desk: PageDesk, { name }: { readonly name: string }) {
    this.#thread = thread;
    this.#desk = desk;
    thread.listen({
      onMessage: (message) => void this.#hear(message),
      onEnd: (error) => this.#end(error),
    });
    thread.post({ kind: "begin", ...desk.threadData(name) });
    thread.keepAlive(false);
  }

  /** Whether statements stand between `BEGIN` and `COMMIT`. */
  get isInTransaction(): boolean {
    return this.#isInTransaction;
  }

  /** Throws what SQLite or the store says, `query/closed`, or the signal's reason as soon as SQLite has stopped. */
  ask(request: Request, { signal }: Waiting): Promise<RowsReply> {
    return this.#turn.run(() => this.#ask(request, signal), { signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#desk.isCancelled = true;
    this.#closing.abort(closed());
    // Whoever is in the middle of something hears of it before the thread goes.
    await this.#reply?.promise.catch(() => undefined);
    await this.#leaveThread();
    this.#end(undefined);
    this.#desk[Symbol.dispose]();
  }

  async #leaveThread(): Promise<void> {
    if (this.#ended !== undefined) return this.#thread[Symbol.asyncDispose]();
    this.#thread.post({ kind: "end" });
    await this.#thread.release();
  }

  async #ask(request: Request, signal: AbortSignal | undefined): Promise<RowsReply> {
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
    this.#thread.keepAlive(true);
    try {
      this.#desk.tellViews((news) =>
        postRequest(() => this.#thread.post({ kind: "request", request, news })),
      );
      const reply = await this.#reply.promise;
      this.#desk.settle(reply);
      this.#isInTransaction = reply.isInTransaction;
      const failure = this.#desk.takeFailure();
      if (reply.kind === "rows") return reply;
      this.#signal.throwIfAborted();
      throw reply.error === undefined ? failure : toError(reply.error);
    } finally {
      signal?.removeEventListener("abort", cancel);
      this.#reply = undefined;
      this.#thread.keepAlive(false);
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
