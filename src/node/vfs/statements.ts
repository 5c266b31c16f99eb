// The statements that are open on a connection, each read in batches that its reader asks for.
import { unreachable } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { WasmConnection, WasmStatement } from "../../core/vfs/sqlite-wasm-connection.ts";
import type { SqlValue } from "../../core/vfs/sql-values.ts";
import type { Request, RowsReply } from "./protocol.ts";

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

export class Statements {
  readonly #connection: WasmConnection;
  readonly #statementById = new Map<number, WasmStatement>();
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
        this.#close(request.statement);
        return nothing;
      default:
        return unreachable(request);
    }
  }

  #start({ sql, parameters, isSingle }: Extract<Request, { kind: "start" }>): RowsReply {
    const { statement, rest } = this.#connection.prepare(sql);
    if (statement === undefined) return nothing;
    const id = ++this.#lastId;
    this.#statementById.set(id, statement);
    try {
      if (isSingle && this.#isStatement(rest)) {
        throw new HeadwaterError(
          "usage/invalid",
          `There is a second statement: ${JSON.stringify(rest.trim())}. Give one at a time.`,
        );
      }
      statement.bind(parameters);
    } catch (error) {
      this.#close(id);
      throw error;
    }
    const { columns } = statement;
    return { ...this.#next(id), columns, isEmpty: false, rest };
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
    const statement = this.#statementById.get(id);
    if (statement === undefined) return nothing;
    const rows: SqlValue[][] = [];
    const startedMs = performance.now();
    let sizeBytes = 0;
    try {
      while (rows.length < batchLimits.rows && sizeBytes < batchLimits.sizeBytes) {
        if (!statement.step()) {
          this.#close(id);
          return { ...nothing, rows };
        }
        const row = statement.row();
        rows.push(row);
        for (const value of row) sizeBytes += sizeOf(value);
        if (performance.now() - startedMs > batchLimits.ms) break;
      }
    } catch (error) {
      this.#close(id);
      throw error;
    }
    return { ...nothing, statement: id, rows };
  }

  #close(id: number): void {
    this.#statementById.get(id)?.[Symbol.dispose]();
    this.#statementById.delete(id);
  }
}

function sizeOf(value: SqlValue): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length : valueSizeBytes;
}
