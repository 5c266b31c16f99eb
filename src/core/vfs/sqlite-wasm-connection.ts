// A connection to a database file of our VFS, and its statements, over the C interface of `@sqlite.org/sqlite-wasm`.
import type { Sqlite3Static, WasmPointer } from "@sqlite.org/sqlite-wasm";
import { bindParameters } from "./bind-parameters.ts";
import { parameterSlots } from "./sqlite-wasm-bind.ts";
import { toQueryError } from "./sqlite-failure.ts";
import { decodeText } from "./sql-text.ts";
import { pointerSizeBytes, resultCodes, stepsBetweenChecks, valueTypes } from "./sqlite-codes.ts";
import { type SqliteExports, sqliteExportsOf } from "./sqlite-wasm-exports.ts";
import type { SqliteWasmVfs } from "./sqlite-wasm-vfs.ts";
import type { SqlParameters, SqlValue } from "./sql-values.ts";
import type { SqlConnection, SqlStatement } from "./sql-connection.ts";

export interface WasmConnectionOptions {
  /** A URI that the VFS knows. */
  readonly file: string;
  /** Name under which `vfs` was installed; without it SQLite's own, for databases in memory. */
  readonly vfsName: string | undefined;
  readonly vfs: Pick<SqliteWasmVfs, "takeError">;
  /** Asked now and then while a statement works; `true` ends it. */
  readonly isCancelled: () => boolean;
}

/** A statement, and what comes after it in the text. */
export interface Prepared {
  /** `undefined`: there was only space and comments. */
  readonly statement: WasmStatement | undefined;
  readonly rest: string;
}

/** A connection. Dispose its statements first, then it. */
export class WasmConnection implements SqlConnection, Disposable {
  readonly #sqlite3: Sqlite3Static;
  readonly #vfs: WasmConnectionOptions["vfs"];
  readonly #db: WasmPointer;

  constructor(sqlite3: Sqlite3Static, { file, vfsName, vfs, isCancelled }: WasmConnectionOptions) {
    const { capi, wasm } = sqlite3;
    this.#sqlite3 = sqlite3;
    this.#vfs = vfs;
    const scope = wasm.scopedAllocPush();
    try {
      const out = wasm.scopedAlloc(pointerSizeBytes);
      wasm.pokePtr(out, 0);
      // "Read-write", so that tables in memory can be; of the replica's own file the VFS says otherwise.
      const flags = capi.SQLITE_OPEN_READWRITE | capi.SQLITE_OPEN_URI;
      const code = capi.sqlite3_open_v2(file, out, flags, vfsName ?? 0);
      this.#db = wasm.peekPtr(out);
      if (code !== capi.SQLITE_OK) {
        const error = this.failure(code);
        this[Symbol.dispose]();
        throw error;
      }
    } finally {
      wasm.scopedAllocPop(scope);
    }
    capi.sqlite3_extended_result_codes(this.#db, 1);
    const check = (): number => (isCancelled() ? 1 : 0);
    capi.sqlite3_progress_handler(this.#db, stepsBetweenChecks, check, 0);
  }

  /** The first statement of `sql`. Throws what is wrong with it. */
  prepare(sql: string): Prepared {
    const { capi, wasm } = this.#sqlite3;
    const scope = wasm.scopedAllocPush();
    try {
      const [text, sizeBytes] = wasm.scopedAllocCString(sql, true);
      const statementOut = wasm.scopedAlloc(pointerSizeBytes);
      const tailOut = wasm.scopedAlloc(pointerSizeBytes);
      const code = capi.sqlite3_prepare_v3(this.#db, text, sizeBytes + 1, 0, statementOut, tailOut);
      if (code !== capi.SQLITE_OK) throw this.failure(code);
      const pointer = wasm.peekPtr(statementOut);
      const rest = wasm.cstrToJs(wasm.peekPtr(tailOut)) ?? "";
      const statement = pointer === 0 ? undefined : new WasmStatement(this.#sqlite3, this, pointer);
      return { statement, rest };
    } finally {
      wasm.scopedAllocPop(scope);
    }
  }

  /** Whether statements stand between `BEGIN` and `COMMIT`. */
  get isInTransaction(): boolean {
    return this.#sqlite3.capi.sqlite3_get_autocommit(this.#db) === 0;
  }

  /** What a result code means to the caller. */
  failure(code: number): unknown {
    const { capi } = this.#sqlite3;
    const text = this.#db === 0 ? capi.sqlite3_errstr(code) : capi.sqlite3_errmsg(this.#db);
    return toQueryError({ code, text, cause: this.#vfs.takeError() });
  }

  [Symbol.dispose](): void {
    this.#sqlite3.capi.sqlite3_close_v2(this.#db);
  }
}

/** A prepared statement. While it is between its first row and its end it holds the snapshot. */
export class WasmStatement implements SqlStatement, Disposable {
  readonly #sqlite3: Sqlite3Static;
  readonly #connection: WasmConnection;
  readonly #pointer: WasmPointer;
  readonly #exports: SqliteExports;
  readonly #heap: () => Uint8Array;
  #columns: readonly string[] | undefined;
  /** How often SQLite had prepared it anew when `#columns` were read. */
  #timesPrepared = 0;

  constructor(sqlite3: Sqlite3Static, connection: WasmConnection, pointer: WasmPointer) {
    this.#sqlite3 = sqlite3;
    this.#connection = connection;
    this.#pointer = pointer;
    this.#exports = sqliteExportsOf(sqlite3);
    this.#heap = sqlite3.wasm.heap8u;
  }

  /** Their names, which the first step can change: SQLite prepares the statement anew if the schema has changed. */
  get columns(): readonly string[] {
    const { capi } = this.#sqlite3;
    const raw = this.#exports;
    const pointer = this.#pointer;
    const again = raw.sqlite3_stmt_status(pointer, capi.SQLITE_STMTSTATUS_REPREPARE, 0);
    if (this.#columns !== undefined && this.#timesPrepared === again) return this.#columns;
    const length = raw.sqlite3_column_count(pointer);
    this.#columns = Array.from({ length }, (_, column) =>
      capi.sqlite3_column_name(pointer, column),
    );
    this.#timesPrepared = again;
    return this.#columns;
  }

  /** Throws `usage/invalid` for a parameter that is missing, unknown, or of a type that SQLite has not. */
  bind(parameters: SqlParameters): void {
    bindParameters(parameterSlots(this.#sqlite3, this.#pointer), parameters);
  }

  /** `true`: there is a row to read. Throws what went wrong. */
  step(): boolean {
    const code = this.#exports.sqlite3_step(this.#pointer);
    if (code === resultCodes.row) return true;
    if (code === resultCodes.done) return false;
    throw this.#connection.failure(code);
  }

  /** The values of the row. Copied. */
  row(): SqlValue[] {
    const values: SqlValue[] = [];
    const count = this.#exports.sqlite3_column_count(this.#pointer);
    for (let column = 0; column < count; column++) values.push(this.#value(column));
    return values;
  }

  /** Makes it ready to run again, with other parameters. */
  reset(): void {
    // What it returns is how the last run ended.
    this.#exports.sqlite3_reset(this.#pointer);
    this.#exports.sqlite3_clear_bindings(this.#pointer);
  }

  finalize(): void {
    this.#sqlite3.capi.sqlite3_finalize(this.#pointer);
  }

  [Symbol.dispose](): void {
    this.finalize();
  }

  #value(column: number): SqlValue {
    const raw = this.#exports;
    const pointer = this.#pointer;
    switch (raw.sqlite3_column_type(pointer, column)) {
      case valueTypes.integer: {
        const value = raw.sqlite3_column_double(pointer, column);
        return Number.isSafeInteger(value) ? value : raw.sqlite3_column_int64(pointer, column);
      }
      case valueTypes.float:
        return raw.sqlite3_column_double(pointer, column);
      case valueTypes.text: {
        const start = raw.sqlite3_column_text(pointer, column);
        const end = start + raw.sqlite3_column_bytes(pointer, column);
        return decodeText(this.#heap().subarray(start, end));
      }
      case valueTypes.blob: {
        const start = raw.sqlite3_column_blob(pointer, column);
        const end = start + raw.sqlite3_column_bytes(pointer, column);
        return this.#heap().slice(start, end);
      }
      default:
        return null;
    }
  }
}
