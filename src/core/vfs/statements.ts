// The statements that are open on a connection, each read in batches that its reader asks for.
import { unreachable } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { WasmConnection, WasmStatement } from "./sqlite-wasm-connection.ts";
import type { SqlValue } from "./sql-values.ts";
import type { Request, RowsReply } from "./protocol.ts";
import { StatementCache } from "./statement-cache.ts";

/** A batch ends at the first of these. The last is for statements whose rows are long in coming. */
const batchLimits = { rows: 1000, sizeBytes: 256 * 1024, ms: 50 } as const;

/** About what a value that is no text and no blob takes. */
const valueSizeBytes = 8;

const nothing: RowsReply = {
  kind: "rows",
  statement: undefined,
  columns: [],
  rows: [],
  isEmpty: true,
  rest: "",
};

/** A statement that is running. */
interface Run {
  readonly statement: WasmStatement;
  /** Its text, if there is nothing else in it: it can be kept for the next time. */
  readonly sql: string | undefined;
}

export class Statements {
  readonly #connection: WasmConnection;
  readonly #runById = new Map<number, Run>();
  readonly #cache = new StatementCache();
  #lastId = 0;

  constructor(connection: WasmConnection) {
    this.#connection = connection;
  }

  answer(request: Request): RowsReply {
    switch (request.kind) {
      case "start":
        return this.#start(request);
      case "next":
        return this.#next(request.statement);
      case "close":
        this.#end(request.statement);
        return nothing;
      default:
        return unreachable(request);
    }
  }

  #start({ sql, parameters, isSingle }: Extract<Request, { kind: "start" }>): RowsReply {
    const kept = this.#cache.take(sql);
    const { statement, rest } =
      kept === undefined ? this.#connection.prepare(sql) : { statement: kept, rest: "" };
    if (statement === undefined) return nothing;
    const id = ++this.#lastId;
    const run: Run = { statement, sql: rest === "" ? sql : undefined };
    this.#runById.set(id, run);
    try {
      if (isSingle && rest !== "" && this.#isStatement(rest)) {
        throw new HeadwaterError(
          "usage/invalid",
          `There is a second statement: ${JSON.stringify(rest.trim())}. Give one at a time.`,
        );
      }
      statement.bind(parameters);
    } catch (error) {
      this.#drop(id);
      throw error;
    }
    return { ...this.#read(id, run), isEmpty: false, rest };
  }

  /** Whether a text is more than space and comments. */
  #isStatement(sql: string): boolean {
    try {
      const { statement } = this.#connection.prepare(sql);
      statement?.[Symbol.dispose]();
      return statement !== undefined;
    } catch {
      return true;
    }
  }

  #next(id: number): RowsReply {
    const run = this.#runById.get(id);
    return run === undefined ? nothing : { ...this.#read(id, run), columns: [] };
  }

  #read(id: number, { statement }: Run): RowsReply {
    try {
      const { rows, isLast } = readBatch(statement);
      // Not before the first step, and not after the end.
      const { columns } = statement;
      if (isLast) this.#end(id);
      return { ...nothing, statement: isLast ? undefined : id, columns, rows };
    } catch (error) {
      this.#drop(id);
      throw error;
    }
  }

  /** It has run as far as it was wanted to. */
  #end(id: number): void {
    const run = this.#runById.get(id);
    this.#runById.delete(id);
    if (run?.sql === undefined) run?.statement[Symbol.dispose]();
    else this.#cache.keep(run.sql, run.statement);
  }

  /** It has failed. */
  #drop(id: number): void {
    this.#runById.get(id)?.statement[Symbol.dispose]();
    this.#runById.delete(id);
  }
}

function readBatch(statement: WasmStatement): {
  readonly rows: readonly SqlValue[][];
  readonly isLast: boolean;
} {
  const rows: SqlValue[][] = [];
  const startedMs = performance.now();
  let sizeBytes = 0;
  while (rows.length < batchLimits.rows && sizeBytes < batchLimits.sizeBytes) {
    if (!statement.step()) return { rows, isLast: true };
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
