// SQLite over the views of a replica: the connection, its statements, and what they hold on to. Runs wherever SQLite may stand
// still until a page has come.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { WasmConnection } from "./sqlite-wasm-connection.ts";
import { installSqliteWasmVfs } from "./sqlite-wasm-vfs.ts";
import type { SqliteWasmVfs } from "./sqlite-wasm-vfs.ts";
import type { Request, RowsReply, ViewsInUse } from "./protocol.ts";
import { runNow } from "./soon.ts";
import { Statements } from "./statements.ts";
import type { ThreadViews } from "./thread-views.ts";

const vfsName = "headwater";

export interface SqliteHostOptions {
  /** Of the replica, in SQL. */
  readonly name: string;
  readonly views: ThreadViews;
  /** Whether what SQLite is doing shall end. */
  readonly isCancelled: () => boolean;
  /** Whether what a page's source threw is no failure, so that the transaction stays. */
  readonly isInterrupt: (error: unknown) => boolean;
}

/** One at a time for each SQLite that was loaded. Disposing it closes the connection with all that stands on it. */
export class SqliteHost implements Disposable {
  readonly #sqlite3: Sqlite3Static;
  readonly #options: SqliteHostOptions;
  readonly #vfs: SqliteWasmVfs;
  #connection: WasmConnection | undefined;
  #statements: Statements | undefined;

  constructor(sqlite3: Sqlite3Static, options: SqliteHostOptions) {
    const { views, isInterrupt } = options;
    this.#sqlite3 = sqlite3;
    this.#options = options;
    this.#vfs = installSqliteWasmVfs(sqlite3, {
      name: vfsName,
      open: (request) => views.open(request),
      isInterrupt,
    });
  }

  [Symbol.dispose](): void {
    if (this.#statements !== undefined) runNow(this.#statements.close());
    this.#connection?.[Symbol.dispose]();
    this.#vfs[Symbol.dispose]();
  }

  /** Throws what SQLite says, and what the source of a page has thrown. */
  answer(request: Request): RowsReply {
    // Not before the first request, so that a replica whose first page cannot be had says so to who asks.
    this.#connection ??= this.#connect();
    this.#statements ??= new Statements(this.#connection);
    return runNow(this.#statements.answer(request));
  }

  /** Whether statements stand between `BEGIN` and `COMMIT`. */
  get isInTransaction(): boolean {
    return this.#connection?.isInTransaction ?? false;
  }

  inUse(): ViewsInUse {
    return this.#options.views.inUse(this.#vfs.readers());
  }

  #connect(): WasmConnection {
    const { name, isCancelled } = this.#options;
    return new WasmConnection(this.#sqlite3, {
      file: `file:${encodeURIComponent(name)}`,
      vfsName,
      vfs: this.#vfs,
      isCancelled,
    });
  }
}
