// The page's side of an open replica: calls to its worker, one answer each.
import { unreachable } from "../core/base/assert.ts";
import { HeadwaterError } from "../core/base/errors.ts";
import type { Waiting } from "../core/base/async.ts";
import type { Logger } from "../core/base/log.ts";
import { toError } from "../core/base/sent-error.ts";
import type { Request, RowsReply } from "../core/vfs/protocol.ts";
import { closed, postRequest } from "../core/vfs/thread-errors.ts";
import { CancelToken } from "./cancel-token.ts";
import { problemOf } from "./sqlite-worker.ts";
import type { Call, OpenCall, ToldState, WorkerReply, WorkerRequest } from "./worker-messages.ts";

type Done = Extract<WorkerReply, { kind: "done" }>;

export interface ReplicaClientOptions {
  readonly logger: Logger;
  /** Whether the worker stands still at times, and must be given something to look at. */
  readonly standsStill: boolean;
}

export class ReplicaClient implements Disposable {
  readonly #worker: Worker;
  readonly #options: ReplicaClientOptions;
  readonly #callById = new Map<number, PromiseWithResolvers<Done>>();
  #lastId = 0;
  #state: ToldState = { txid: 0n, timestampMs: 0 };
  #ended: HeadwaterError | undefined;

  /** Owns the worker from now on, which has been told its role. */
  constructor(worker: Worker, options: ReplicaClientOptions) {
    this.#worker = worker;
    this.#options = options;
    worker.addEventListener("message", ({ data }: MessageEvent<WorkerReply>) => this.#hear(data));
    worker.addEventListener("error", (event) => this.#end(problemOf(event)));
    worker.addEventListener("messageerror", () => this.#end("a message could not be read"));
  }

  /** The state that the next query sees. */
  get state(): ToldState {
    return this.#state;
  }

  /** Once, before all else. */
  async open(call: OpenCall, waiting: Waiting): Promise<void> {
    await this.#call(call, waiting);
  }

  async ask(request: Request, waiting: Waiting): Promise<RowsReply> {
    const { rows } = await this.#call({ kind: "ask", request }, waiting);
    if (rows === undefined) throw new Error("Headwater bug: a query was answered without rows");
    return rows;
  }

  async refresh(waiting: Waiting): Promise<void> {
    await this.#call({ kind: "refresh" }, waiting);
  }

  /** Ends the worker, whatever it does. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
    this.#end(undefined);
  }

  async #call(call: Call, { signal }: Waiting): Promise<Done> {
    signal?.throwIfAborted();
    if (this.#ended !== undefined) throw this.#ended;
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Done>();
    const token = this.#tokenFor(call, signal);
    const cancel = (): void => {
      token?.[Symbol.dispose]();
      this.#post({ kind: "abort", id });
    };
    this.#callById.set(id, answer);
    try {
      postRequest(() => this.#post({ kind: "call", id, call, token: token?.address }));
      signal?.addEventListener("abort", cancel);
      return await answer.promise;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", cancel);
      token?.[Symbol.dispose]();
      this.#callById.delete(id);
    }
  }

  /** Opening tries whether tokens are of use. */
  #tokenFor({ kind }: Call, signal: AbortSignal | undefined): CancelToken | undefined {
    if (!this.#options.standsStill) return undefined;
    return kind === "open" || signal !== undefined ? new CancelToken() : undefined;
  }

  #post(message: WorkerRequest): void {
    this.#worker.postMessage(message);
  }

  #hear(reply: WorkerReply): void {
    switch (reply.kind) {
      case "log":
        this.#options.logger.log(reply.level, reply.event, reply.fields);
        return;
      case "state":
        this.#state = reply.state;
        return;
      case "done":
        this.#state = reply.state;
        this.#callById.get(reply.id)?.resolve(reply);
        return;
      case "failed":
        this.#state = reply.state ?? this.#state;
        this.#callById.get(reply.id)?.reject(toError(reply.error));
        return;
      default:
        unreachable(reply);
    }
  }

  #end(problem: string | undefined): void {
    this.#ended ??= ended(problem);
    for (const { reject } of this.#callById.values()) reject(this.#ended);
  }
}

function ended(problem: string | undefined): HeadwaterError {
  if (problem === undefined) return closed();
  return new HeadwaterError(
    "query/closed",
    `The worker of the replica has ended: ${problem}. Open the replica again.`,
  );
}
