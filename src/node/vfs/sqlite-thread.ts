// The thread that SQLite runs in: opens the replica's database over shared memory and answers requests until it is ended.
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import initSqlite from "@sqlite.org/sqlite-wasm";
import { must } from "../../core/base/assert.ts";
import { WasmConnection } from "../../core/vfs/sqlite-wasm-connection.ts";
import { installSqliteWasmVfs } from "../../core/vfs/sqlite-wasm-vfs.ts";
import type { SqliteWasmVfs, SqliteWasmVfsOptions } from "../../core/vfs/sqlite-wasm-vfs.ts";
import { toSent } from "../base/sent-error.ts";
import { controlWords } from "./protocol.ts";
import type { Answer, Message, NumberedView, Request, ThreadData } from "./protocol.ts";
import { Statements } from "./statements.ts";
import { PageFailure, ThreadViews } from "./thread-views.ts";

const vfsName = "headwater";

const port = must(parentPort, "port to the caller's thread");
const sqlite3 = await initSqlite();
port.once("message", (data: ThreadData) => {
  const thread = new SqliteThread(data);
  port.on("message", (request: Request) => thread.hear(request));
});

class SqliteThread {
  readonly #data: ThreadData;
  readonly #control: Int32Array;
  readonly #views: ThreadViews;
  readonly #vfs: SqliteWasmVfs;
  #statements: Statements | undefined;

  constructor(data: ThreadData) {
    this.#data = data;
    this.#control = new Int32Array(data.control);
    this.#views = new ThreadViews({
      ...data,
      control: this.#control,
      post,
      receiveView: () => receiveFrom(data.views),
    });
    const open: SqliteWasmVfsOptions["open"] = (request) => this.#views.open(request);
    this.#vfs = installSqliteWasmVfs(sqlite3, {
      name: vfsName,
      open,
      isInterrupt: () => this.#isCancelled,
    });
  }

  hear(request: Request): void {
    if (request.newest !== undefined) this.#views.setNewest(request.newest);
    const answer = this.#answer(request);
    post({ kind: "reply", reply: { ...answer, ...this.#views.inUse(this.#vfs.readers()) } });
  }

  #answer(request: Request): Answer {
    try {
      // Not before the first request, so that a replica whose first page cannot be had says so to who asks.
      this.#statements ??= new Statements(this.#connect());
      return this.#statements.answer(request);
    } catch (error) {
      const isOurs = !(error instanceof PageFailure);
      return { kind: "failed", error: isOurs ? toSent(error, stackOf) : undefined };
    }
  }

  #connect(): WasmConnection {
    return new WasmConnection(sqlite3, {
      file: `file:${encodeURIComponent(this.#data.name)}`,
      vfsName,
      vfs: this.#vfs,
      isCancelled: () => this.#isCancelled,
    });
  }

  get #isCancelled(): boolean {
    return Atomics.load(this.#control, controlWords.cancelled) === 1;
  }
}

/** Of an error that nobody has foreseen. */
function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function post(message: Message): void {
  port.postMessage(message);
}

function receiveFrom(views: MessagePort): NumberedView {
  const received: { readonly message: NumberedView } | undefined = receiveMessageOnPort(views);
  return must(received, "view that was asked for").message;
}
