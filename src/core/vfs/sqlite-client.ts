// The caller's end of SQLite's thread: hands it one request at a time, and answers what it asks meanwhile.
import { Mutex } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { HeadwaterError, messageOf } from "../base/errors.ts";
import { toError } from "../base/sent-error.ts";
import { CallerHandOver, createHandOver } from "./hand-over.ts";
import type { PageDesk } from "./page-desk.ts";
import type { Message, Reply, Request, RowsReply, SentRequest, ThreadData } from "./protocol.ts";

/** What a thread tells its owner. */
export interface ThreadListener {
  readonly onMessage: (message: Message) => void;
  /** It has ended, by itself or because of an error. */
  readonly onEnd: (error: Error | undefined) => void;
}

/** A thread that SQLite is loaded in: a worker of Node or of a browser. Disposing it ends it, whatever it does; may happen twice. */
export interface SqliteThread extends AsyncDisposable {
  /** Whether its owner may stand still for a moment, which the page of a browser must not. */
  readonly mayOwnerWait?: boolean;
  post(message: ThreadData | SentRequest): void;
  /** Tells of everything from now on, and of the end also if it was before. Once. */
  listen(listener: ThreadListener): void;
  /** Whether a program that has nothing else to do waits for the thread. */
  keepAlive(isNeeded: boolean): void;
}

/** SQLite in a thread of its own. It keeps the process alive only while it has something to do. */
export class SqliteClient implements AsyncDisposable {
  readonly #thread: SqliteThread;
  readonly #desk: PageDesk;
  readonly #handOver: CallerHandOver | undefined;
  readonly #turn = new Mutex();
  /** Ends what SQLite waits for when the client is disposed. */
  readonly #closing = new AbortController();
  #reply: PromiseWithResolvers<Reply> | undefined;
  #signal: AbortSignal = this.#closing.signal;
  #ended: Error | undefined;

  /** Owns both from now on. `name` is what SQL calls the replica. */
  constructor(thread: SqliteThread, desk: PageDesk, { name }: { readonly name: string }) {
    this.#thread = thread;
    this.#desk = desk;
    thread.listen({
      onMessage: (message) => void this.#hear(message),
      onEnd: (error) => this.#end(error),
    });
    const handOver = thread.mayOwnerWait === true ? createHandOver() : undefined;
    if (handOver !== undefined) {
      this.#handOver = new CallerHandOver(handOver, { nowMs: () => performance.now() });
    }
    thread.post({ ...desk.threadData(name), handOver });
    thread.keepAlive(false);
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
    await this.#thread[Symbol.asyncDispose]();
    this.#end(undefined);
    this.#desk[Symbol.dispose]();
  }

  async #ask(request: Request, signal: AbortSignal | undefined): Promise<RowsReply> {
    this.#closing.signal.throwIfAborted();
    if (this.#ended !== undefined) throw this.#ended;
    this.#desk.isCancelled = false;
    const direct = this.#desk.tellViews((news) => this.#send({ request, news }));
    // Nothing has been heard since: there was no turn of the event loop.
    const reply = direct ?? (await this.#replyOf(signal));
    this.#desk.settle(reply);
    const failure = this.#desk.takeFailure();
    if (reply.kind === "rows") return reply;
    this.#signal.throwIfAborted();
    throw reply.error === undefined ? failure : toError(reply.error);
  }

  /** The reply that comes as a message. */
  async #replyOf(signal: AbortSignal | undefined): Promise<Reply> {
    const { signal: closing } = this.#closing;
    this.#signal = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    const cancel = (): void => {
      this.#desk.isCancelled = true;
    };
    signal?.addEventListener("abort", cancel);
    this.#reply = Promise.withResolvers();
    this.#thread.keepAlive(true);
    try {
      return await this.#reply.promise;
    } finally {
      signal?.removeEventListener("abort", cancel);
      this.#reply = undefined;
      this.#thread.keepAlive(false);
    }
  }

  /** Returns the reply if it is here already. */
  #send(request: SentRequest): Reply | undefined {
    const handed = this.#handOver?.ask(request) ?? "unsent";
    if (handed === "unsent") this.#post(request);
    return typeof handed === "string" ? undefined : handed;
  }

  #post(request: SentRequest): void {
    try {
      this.#thread.post(request);
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
