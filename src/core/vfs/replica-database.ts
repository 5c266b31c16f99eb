// An open replica: queries without a download, each on one snapshot.
import type { Waiting } from "../base/async.ts";
import { hasCode } from "../base/errors.ts";
import { toTxid } from "../ltx/txid.ts";
import type { Txid } from "../ltx/txid.ts";
import type { PageMap } from "../view/page-map.ts";
import { toSqlRow } from "./sql-values.ts";
import type { SqlParameters, SqlRow, SqlValue } from "./sql-values.ts";
import type { Request, RowsReply } from "./protocol.ts";

/** Some rows of a statement, in the order of its columns. */
export interface RowBatch {
  /** Which statement of the text, from 0. */
  readonly statement: number;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
  /** Of its statement. */
  readonly isLast: boolean;
}

/** Has a request done. Throws what came of it instead. */
export type AskSqlite = (request: Request, waiting: Waiting) => Promise<RowsReply>;

export interface ReplicaDatabaseOptions {
  readonly name: string;
  /** The state that the next query sees. */
  readonly current: () => Pick<PageMap, "txid" | "timestampMs">;
  readonly ask: AskSqlite;
  /** Looks for a newer state. */
  readonly refresh: (waiting: Waiting) => Promise<unknown>;
  /** Ends everything that the replica stands on. May be called twice. */
  readonly close: () => Promise<void>;
}

/**
 * A replica that is open for reading. One connection: statements that overlap, and those between `BEGIN` and `COMMIT`,
 * see one snapshot; any other sees the newest state that is known when it starts. Dispose it.
 */
export class ReplicaDatabase implements AsyncDisposable {
  readonly #options: ReplicaDatabaseOptions;

  constructor(options: ReplicaDatabaseOptions) {
    this.#options = options;
  }

  /** What SQL calls the replica: in `ATTACH 'file:NAME?at=2 hours ago' AS past`. */
  get name(): string {
    return this.#options.name;
  }

  /** Of the state that the next query sees: the snapshot that is held, or the newest that is known. */
  get txid(): Txid {
    return toTxid(this.#options.current().txid);
  }

  /** When that state was captured, in milliseconds since 1970. */
  get timestampMs(): number {
    return this.#options.current().timestampMs;
  }

  /**
   * The rows of one statement, as they are asked for: a statement that is left early stops. It runs when iteration starts,
   * and anew each time. Throws `query/*`, `usage/invalid` for parameters that do not fit, what the store says, or the
   * signal's reason.
   */
  query(sql: string, parameters: SqlParameters = [], waiting: Waiting = {}): AsyncIterable<SqlRow> {
    return { [Symbol.asyncIterator]: () => this.#rows(sql, parameters, waiting) };
  }

  /** The rows of every statement in a text, in batches of bounded size; each statement gives at least one, which may be empty. */
  async *batches(sql: string, waiting: Waiting = {}): AsyncGenerator<RowBatch, void, undefined> {
    let rest = sql;
    for (let statement = 0; ; statement++) {
      let first: RowsReply | undefined;
      for await (const reply of this.#run(
        { sql: rest, parameters: [], isSingle: false },
        waiting,
      )) {
        first ??= reply;
        if (first.isEmpty) return;
        const isLast = reply.statement === undefined;
        yield { statement, columns: first.columns, rows: reply.rows, isLast };
      }
      rest = first?.rest ?? "";
    }
  }

  /**
   * Looks for a newer state, which queries see from now on unless a snapshot is held, and resolves to the TXID they see. A
   * replica opened at a moment stays there. One that a primary pushes to also waits for what that has committed when it is
   * connected to, unless it is away.
   */
  async refresh(waiting: Waiting = {}): Promise<Txid> {
    await this.#options.refresh(waiting);
    return this.txid;
  }

  /** Ends what is running. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.close();
  }

  async *#rows(
    sql: string,
    parameters: SqlParameters,
    waiting: Waiting,
  ): AsyncGenerator<SqlRow, void, undefined> {
    let columns: readonly string[] | undefined;
    for await (const batch of this.#run({ sql, parameters, isSingle: true }, waiting)) {
      columns ??= batch.columns;
      for (const row of batch.rows) yield toSqlRow(columns, row);
    }
  }

  /** The replies for one statement. What is left of it is ended when its reader goes. */
  async *#run(
    start: { readonly sql: string; readonly parameters: SqlParameters; readonly isSingle: boolean },
    waiting: Waiting,
  ): AsyncGenerator<RowsReply, void, undefined> {
    let reply = await this.#options.ask({ kind: "start", ...start }, waiting);
    const { statement } = reply;
    try {
      yield reply;
      while (reply.statement !== undefined) {
        reply = await this.#options.ask({ kind: "next", statement: reply.statement }, waiting);
        yield reply;
      }
    } finally {
      // Also after a failure: it may have come before SQLite heard of the request.
      if (statement !== undefined && reply.statement !== undefined) await this.#close(statement);
    }
  }

  async #close(statement: number): Promise<void> {
    try {
      await this.#options.ask({ kind: "close", statement }, {});
    } catch (error) {
      // A replica that is closed has no statement left.
      if (!hasCode(error, "query/closed")) throw error;
    }
  }
}
