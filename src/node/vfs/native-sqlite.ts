// The caller's end of the thread of `node:sqlite`. A step of SQLite cannot be interrupted there: a statement that has to stop
// stops between rows, and if a step takes too long the thread is left to itself and another takes its place.
import { Worker } from "node:worker_threads";
import { must } from "../../core/base/assert.ts";
import { type Waiting, orAborted } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { toError } from "../../core/base/sent-error.ts";
import type { FailedReply, Request, RowsReply } from "../../core/vfs/protocol.ts";
import { closed } from "../../core/vfs/thread-errors.ts";
import { siblingModule } from "../base/sibling-module.ts";
import type { Copy } from "../hydrate/local-copies.ts";

/** How long a statement that is to stop may go on before its thread is left. */
const graceMs = 200;

export type NativeRequest = Request | { readonly kind: "open"; readonly path: string };

type Answer = RowsReply | FailedReply;

interface Thread {
  readonly worker: Worker;
  /** What it has open, or has been told to open. */
  copy: Copy | undefined;
  reply: PromiseWithResolvers<Answer> | undefined;
}

export class NativeSqlite implements AsyncDisposable {
  readonly #clock: Clock;
  /** Whoever waits for a copy that is open. */
  readonly #waiting = new Set<() => void>();
  /** Threads that are to end and have not ended yet. */
  readonly #left = new Map<Thread, Promise<unknown>>();
  #thread: Thread | undefined;
  #openStatements = new Set<number>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The copy that statements run on; `undefined`: they cannot. */
  get copy(): Copy | undefined {
    return this.#thread?.copy;
  }

  /** Whether a statement stands between two of its rows. */
  get isHeld(): boolean {
    return this.#openStatements.size > 0;
  }

  /** Starts the thread, which takes its time, before there is a copy. */
  start(): void {
    this.#thread ??= this.#start();
  }

  /** Goes over to another copy. No statement may be open. If it throws, none is. */
  async open(copy: Copy): Promise<void> {
    if (this.#isClosed) throw closed();
    const thread = (this.#thread ??= this.#start());
    thread.copy = copy;
    try {
      await this.#ask(thread, { kind: "open", path: copy.path });
    } catch (error) {
      this.#leave(lost());
      throw error;
    }
    this.#wakeWaiting();
  }

  /** Throws what SQLite says, or the signal's reason. One at a time. The statements of a thread that was left are gone. */
  async ask(request: Request, waiting: Waiting): Promise<RowsReply> {
    // From here on until it is listened for, nothing else runs.
    waiting.signal?.throwIfAborted();
    const isStart = request.kind === "start";
    if (!isStart && !this.#openStatements.delete(request.statement)) throw lost();
    const thread = must(this.#thread, "thread to run a statement in");
    const reply = await this.#inTime(thread, this.#ask(thread, request), waiting);
    if (reply.statement !== undefined) this.#openStatements.add(reply.statement);
    return reply;
  }

  /** Lets go of the copy, and of the statements that are open on it. */
  close(): void {
    this.#leave(lost());
  }

  /** Whether statements may read the file at a path. */
  holds(path: string): boolean {
    return this.#thread?.copy?.path === path;
  }

  /** Resolves when the file at a path is not open: `false` if a thread that was left still has it. */
  async whenFree(path: string, waiting: Waiting): Promise<boolean> {
    while (this.holds(path)) {
      const changed = Promise.withResolvers<void>();
      this.#waiting.add(changed.resolve);
      try {
        await orAborted(changed.promise, waiting);
      } finally {
        this.#waiting.delete(changed.resolve);
      }
    }
    return ![...this.#left.keys()].some(({ copy }) => copy?.path === path);
  }

  /** Ends what is running. A step that does not end soon goes on by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#leave(closed());
    const inTime = new AbortController();
    await Promise.race([
      Promise.all(this.#left.values()),
      this.#clock.sleep(graceMs, inTime).catch(() => undefined),
    ]);
    inTime.abort();
  }

  #start(): Thread {
    const worker = new Worker(siblingModule(import.meta.url, "native-thread"), {
      name: "headwater-native",
      // What the caller's program was started with is none of the thread's business.
      execArgv: ["--no-warnings"],
      env: {},
    });
    const thread: Thread = { worker, copy: undefined, reply: undefined };
    const end = (error: Error): void => {
      thread.reply?.reject(error);
      if (this.#thread === thread) this.#leave(error);
    };
    worker.on("message", (answer: Answer) => thread.reply?.resolve(answer));
    worker.on("error", (error) => end(closed(error)));
    worker.on("exit", () => end(lost()));
    worker.unref();
    return thread;
  }

  async #ask(thread: Thread, request: NativeRequest): Promise<RowsReply> {
    const reply = Promise.withResolvers<Answer>();
    thread.reply = reply;
    thread.worker.ref();
    try {
      thread.worker.postMessage(request, []);
      const answer = await reply.promise;
      if (answer.kind === "rows") return answer;
      throw answer.error === undefined ? lost() : toError(answer.error);
    } finally {
      thread.worker.unref();
    }
  }

  /** The reply, unless it is not wanted any more and does not come soon: then the thread is left. */
  async #inTime(
    thread: Thread,
    reply: Promise<RowsReply>,
    { signal }: Waiting,
  ): Promise<RowsReply> {
    if (signal === undefined) return reply;
    const isEnded = reply.then(
      () => true,
      () => true,
    );
    const late = new AbortController();
    const onAbort = async (): Promise<void> => {
      const isLate = this.#clock.sleep(graceMs, late).then(
        () => false,
        () => true,
      );
      if (await Promise.race([isEnded, isLate])) return;
      thread.reply?.reject(signal.reason);
      if (this.#thread === thread) this.#leave(lost());
    };
    const listener = (): void => void onAbort();
    signal.addEventListener("abort", listener);
    try {
      return await reply;
    } finally {
      signal.removeEventListener("abort", listener);
      late.abort();
    }
  }

  /** Has the thread end, which it does not before SQLite returns. */
  #leave(error: Error): void {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#thread = undefined;
    this.#openStatements = new Set();
    this.#left.set(thread, this.#ended(thread));
    thread.reply?.reject(error);
    this.#wakeWaiting();
  }

  async #ended(thread: Thread): Promise<void> {
    await thread.worker.terminate();
    this.#left.delete(thread);
    this.#wakeWaiting();
  }

  #wakeWaiting(): void {
    for (const wake of this.#waiting) wake();
  }
}

function lost(): HeadwaterError {
  return new HeadwaterError(
    "query/closed",
    "The thread that the statement ran in was ended, because another statement in it could not be stopped. Run it again.",
  );
}
