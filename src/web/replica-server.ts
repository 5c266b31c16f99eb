// The worker's side of an open replica: opens it when it is told to, and answers the calls of the page.
import { must, unreachable } from "../core/base/assert.ts";
import { Mutex, type Waiting } from "../core/base/async.ts";
import type { Logger } from "../core/base/log.ts";
import { sendable, toSent } from "../core/base/sent-error.ts";
import type { RowsReply } from "../core/vfs/protocol.ts";
import type { ReplicaEngine } from "../core/vfs/replica-engine.ts";
import { CancelWatch } from "./cancel-token.ts";
import { type EngineParts, openEngine } from "./open-engine.ts";
import { isThere } from "./xhr.ts";
import type { Call, OpenCall, ToldState, WorkerReply, WorkerRequest } from "./worker-messages.ts";

export interface ReplicaServerOptions extends Pick<EngineParts, "loadSqlite" | "startThread"> {
  readonly post: (reply: WorkerReply) => void;
}

export class ReplicaServer {
  readonly #options: ReplicaServerOptions;
  readonly #abortById = new Map<number, AbortController>();
  readonly #watch = new CancelWatch(isThere, () => performance.now());
  /** So that what is looked at is the token of the call that runs. */
  readonly #turn = new Mutex();
  #engine: ReplicaEngine | undefined;

  constructor(options: ReplicaServerOptions) {
    this.#options = options;
  }

  hear(message: WorkerRequest): void {
    if (message.kind === "abort") this.#abortById.get(message.id)?.abort();
    else void this.#answer(message);
  }

  async #answer({ id, call, token }: Extract<WorkerRequest, { kind: "call" }>): Promise<void> {
    const { post } = this.#options;
    const abort = new AbortController();
    this.#abortById.set(id, abort);
    try {
      const rows = await this.#do(call, token, abort);
      post({ kind: "done", id, rows, state: this.#state });
    } catch (error) {
      post({ kind: "failed", id, state: this.#engine && this.#state, error: toSent(error) });
    } finally {
      this.#abortById.delete(id);
    }
  }

  async #do(
    call: Call,
    token: string | undefined,
    waiting: Waiting,
  ): Promise<RowsReply | undefined> {
    switch (call.kind) {
      case "open":
        await this.#open(call, token, waiting);
        return undefined;
      case "ask":
        return this.#turn.run(() => {
          this.#watch.watch(token);
          return this.#opened.ask(call.request, waiting);
        }, waiting);
      case "refresh":
        await this.#opened.refresh(waiting);
        return undefined;
      default:
        return unreachable(call);
    }
  }

  async #open(call: OpenCall, token: string | undefined, { signal }: Waiting): Promise<void> {
    const { loadSqlite, startThread, post } = this.#options;
    this.#watch.probe(token);
    const logger: Logger = {
      log: (level, event, fields = {}) =>
        post({ kind: "log", level, event, fields: sendable(fields) }),
    };
    this.#engine = await openEngine(call, {
      loadSqlite,
      startThread,
      logger,
      signal,
      isCancelled: () => this.#watch.isCancelled,
      onNews: () => post({ kind: "state", state: this.#state }),
    });
  }

  get #opened(): ReplicaEngine {
    return must(this.#engine, "open replica");
  }

  get #state(): ToldState {
    const { txid, timestampMs } = this.#opened.current();
    return { txid, timestampMs };
  }
}
