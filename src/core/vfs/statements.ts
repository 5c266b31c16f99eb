// The statements that are open on a connection, each read in batches that its reader asks for.
import { unreachable } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { SqlConnection, SqlStatement } from "./sql-connection.ts";
import type { SqlValue } from "./sql-values.ts";
import type { Request, RowsReply } from "./protocol.ts";
import { type Steps, settled } from "./soon.ts";
import { StatementCache } from "./statement-cache.ts";

/** A batch ends at the first of these. The last is for statements whose rows are long in coming. */
const batchLimits = { rows: 1000, sizeBytes: 256 * 1024, ms: 50 } as const;

/** About what a value that is no text and no blob takes. */
const valueSizeBytes = 8;

/** The reply to what has no rows. */
export const nothing: RowsReply = {
  kind: "rows",
  statement: undefined,
  columns: [],
  rows: [],
  isEmpty: true,
  rest: "",
};

/** A statement that is running. */
interface Run {
  readonly statement: SqlStatement;
  /** Its text, if there is nothing else in it: it can be kept for the next time. */
  readonly sql: string | undefined;
}

export class Statements {
  readonly #connection: SqlConnection;
  readonly #runById = new Map<number, Run>();
  readonly #cache = new StatementCache();
  #lastId = 0;

  constructor(connection: SqlConnection) {
    this.#connection = connection;
  }

  /** One at a time. */
  *answer(request: Request): Steps<RowsReply> {
    switch (request.kind) {
      case "start":
        return yield* this.#start(request);
      case "next":
        return yield* this.#next(request.statement);
      case "close":
        yield* this.#end(request.statement);
        return nothing;
      default:
        return unreachable(request);
    }
  }

  /** Ends them all. */
  *close(): Steps<void> {
    for (const id of this.#runById.keys()) yield* this.#drop(id);
    yield* this.#cache.clear();
  }

  *#start({ sql, parameters, isSingle }: Extract<Request, { kind: "start" }>): Steps<RowsReply> {
    const kept = this.#cache.take(sql);
    const { statement, rest } =
      kept === undefined
        ? yield* settled(this.#connection.prepare(sql))
        : { statement: kept, rest: "" };
    if (statement === undefined) return nothing;
    const id = ++this.#lastId;
    const run: Run = { statement, sql: rest === "" ? sql : undefined };
    this.#runById.set(id, run);
    try {
      if (isSingle && rest !== "" && (yield* this.#isStatement(rest))) {
        throw new HeadwaterError(
          "usage/invalid",
          `There is a second statement: ${JSON.stringify(rest.trim())}. Give one at a time.`,
        );
      }
      statement.bind(parameters);
    } catch (error) {
      yield* this.#drop(id);
      throw error;
    }
    return { ...(yield* this.#read(id, run)), isEmpty: false, rest };
  }

  /** Whether a text is more than space and comments. */
  *#isStatement(sql: string): Steps<boolean> {
    try {
      const { statement } = yield* settled(this.#connection.prepare(sql));
      yield* settled(statement?.finalize());
      return statement !== undefined;
    } catch {
      return true;
    }
  }

  *#next(id: number): Steps<RowsReply> {
    const run = this.#runById.get(id);
    return run === undefined ? nothing : { ...(yield* this.#read(id, run)), columns: [] };
  }

  *#read(id: number, { statement }: Run): Steps<RowsReply> {
    try {
      const { rows, isLast } = yield* readBatch(statement);
      // Not before the first step, and not after the end.
      const { columns } = statement;
      if (isLast) yield* this.#end(id);
      return { ...nothing, statement: isLast ? undefined : id, columns, rows };
    } catch (error) {
      yield* this.#drop(id);
      throw error;
    }
  }

  /** It has run as far as it was wanted to. */
  *#end(id: number): Steps<void> {
    const run = this.#runById.get(id);
    this.#runById.delete(id);
    if (run?.sql === undefined) yield* settled(run?.statement.finalize());
    else yield* this.#cache.keep(run.sql, run.statement);
  }

  /** It has failed, or is not wanted any more. */
  *#drop(id: number): Steps<void> {
    const run = this.#runById.get(id);
    this.#runById.delete(id);
    yield* settled(run?.statement.finalize());
  }
}

function* readBatch(statement: SqlStatement): Steps<{
  readonly rows: readonly SqlValue[][];
  readonly isLast: boolean;
}> {
  const rows: SqlValue[][] = [];
  const startedMs = performance.now();
  let sizeBytes = 0;
  while (rows.length < batchLimits.rows && sizeBytes < batchLimits.sizeBytes) {
    const stepped = statement.step();
    const isRow = typeof stepped === "boolean" ? stepped : yield* settled(stepped);
    if (!isRow) return { rows, isLast: true };
    const row = statement.row();
    rows.push(row);
    for (const value of row) sizeBytes += sizeOf(value);
    if (performance.now() - startedMs > batchLimits.ms) break;
  }
  return { rows, isLast: false };
}

function sizeOf(value: SqlValue): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length : valueSizeBytes;
}
