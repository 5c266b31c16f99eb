// A connection to a database file of our VFS in wa-sqlite with JSPI, and its statements: as `sqlite-wasm-connection.ts`, with
// promises where a page may have to be waited for. SQLite does one thing at a time: the next call begins when the promise of
// the one before has been kept.
import { bindParameters } from "./bind-parameters.ts";
import {
  openFlags,
  pointerSizeBytes,
  resultCodes,
  stepsBetweenChecks,
  valueTypes,
} from "./sqlite-codes.ts";
import { toQueryError } from "./sqlite-failure.ts";
import { decodeText } from "./sql-text.ts";
import type { SqlParameters, SqlValue } from "./sql-values.ts";
import type { PreparedSql, SqlConnection, SqlStatement } from "./sql-connection.ts";
import { type Pointer, type WaSqliteModule, allocate } from "./wa-sqlite-module.ts";
import type { WaSqliteVfs } from "./wa-sqlite-vfs.ts";

export interface WaConnectionOptions {
  readonly module: WaSqliteModule;
  /** A URI that the VFS knows. */
  readonly file: string;
  readonly vfs: WaSqliteVfs;
  /** Asked now and then while a statement works, and waited for; `true` ends the statement. */
  readonly onProgress: () => Promise<boolean>;
}

/** Counter of a statement: how often SQLite has prepared it anew. */
const timesPreparedCounter = 5;

const encoder = new TextEncoder();

/** It lives as long as its module, which is not shared with anybody. */
export class WaConnection implements SqlConnection {
  readonly #module: WaSqliteModule;
  readonly #vfs: WaSqliteVfs;
  readonly #db: Pointer;

  private constructor({ module, vfs }: WaConnectionOptions, db: Pointer) {
    this.#module = module;
    this.#vfs = vfs;
    this.#db = db;
  }

  static async open(options: WaConnectionOptions): Promise<WaConnection> {
    const { module, file, vfs, onProgress } = options;
    const out = allocate(module, new Uint8Array(pointerSizeBytes));
    const name = allocate(module, encoder.encode(file));
    const vfsName = allocate(module, encoder.encode(vfs.name));
    try {
      // "Read-write", so that tables in memory can be; of the replica's own file the VFS says otherwise.
      const flags = openFlags.readWrite | openFlags.uri;
      const code = await module._sqlite3_open_v2(name, out, flags, vfsName);
      const connection = new WaConnection(options, peek(module, out));
      if (code !== resultCodes.ok) throw connection.failure(code);
      module._sqlite3_extended_result_codes(connection.#db, 1);
      const check = async (): Promise<number> => ((await onProgress()) ? 1 : 0);
      module.progress_handler(connection.#db, stepsBetweenChecks, check, 0);
      return connection;
    } finally {
      for (const memory of [out, name, vfsName]) module._sqlite3_free(memory);
    }
  }

  async prepare(sql: string): Promise<PreparedSql> {
    const module = this.#module;
    const bytes = encoder.encode(sql);
    const text = allocate(module, bytes);
    const out = allocate(module, new Uint8Array(2 * pointerSizeBytes));
    try {
      const tailOut = out + pointerSizeBytes;
      const sizeBytes = bytes.length + 1;
      const code = await module._sqlite3_prepare_v3(this.#db, text, sizeBytes, 0, out, tailOut);
      if (code !== resultCodes.ok) throw this.failure(code);
      const pointer = peek(module, out);
      const rest = module.UTF8ToString(peek(module, tailOut));
      return {
        statement: pointer === 0 ? undefined : new WaStatement(module, this, pointer),
        rest,
      };
    } finally {
      module._sqlite3_free(out);
      module._sqlite3_free(text);
    }
  }

  /** What a result code means to the caller. */
  failure(code: number): unknown {
    const module = this.#module;
    const words = this.#db === 0 ? module._sqlite3_errstr(code) : module._sqlite3_errmsg(this.#db);
    return toQueryError({ code, text: module.UTF8ToString(words), cause: this.#vfs.takeError() });
  }
}

/** A prepared statement. While it is between its first row and its end it holds the snapshot. */
class WaStatement implements SqlStatement {
  readonly #module: WaSqliteModule;
  readonly #connection: WaConnection;
  readonly #pointer: Pointer;
  #columns: readonly string[] | undefined;
  /** How often SQLite had prepared it anew when `#columns` were read. */
  #timesPrepared = 0;

  constructor(module: WaSqliteModule, connection: WaConnection, pointer: Pointer) {
    this.#module = module;
    this.#connection = connection;
    this.#pointer = pointer;
  }

  get columns(): readonly string[] {
    const module = this.#module;
    const pointer = this.#pointer;
    const again = module._sqlite3_stmt_status(pointer, timesPreparedCounter, 0);
    if (this.#columns !== undefined && this.#timesPrepared === again) return this.#columns;
    const length = module._sqlite3_column_count(pointer);
    this.#columns = Array.from({ length }, (_, column) =>
      module.UTF8ToString(module._sqlite3_column_name(pointer, column)),
    );
    this.#timesPrepared = again;
    return this.#columns;
  }

  bind(parameters: SqlParameters): void {
    const module = this.#module;
    const statement = this.#pointer;
    const free = module._getSqliteFree();
    bindParameters(
      {
        count: module._sqlite3_bind_parameter_count(statement),
        nameOf: (index) => {
          const name = module._sqlite3_bind_parameter_name(statement, index);
          return name === 0 ? undefined : module.UTF8ToString(name);
        },
        bindNull: (index) => module._sqlite3_bind_null(statement, index),
        bindBlob: (index, bytes) =>
          module._sqlite3_bind_blob(statement, index, allocate(module, bytes), bytes.length, free),
        bindText: (index, utf8) =>
          module._sqlite3_bind_text(statement, index, allocate(module, utf8), utf8.length, free),
        bindInteger: (index, value) =>
          module._sqlite3_bind_int64(
            statement,
            index,
            Number(BigInt.asIntN(32, value)),
            Number(BigInt.asIntN(32, value >> 32n)),
          ),
        bindDouble: (index, value) => module._sqlite3_bind_double(statement, index, value),
        textOf: (code) => module.UTF8ToString(module._sqlite3_errstr(code)),
      },
      parameters,
    );
  }

  async step(): Promise<boolean> {
    const code = await this.#module._sqlite3_step(this.#pointer);
    if (code === resultCodes.row) return true;
    if (code === resultCodes.done) return false;
    throw this.#connection.failure(code);
  }

  row(): SqlValue[] {
    const values: SqlValue[] = [];
    const count = this.#module._sqlite3_column_count(this.#pointer);
    for (let column = 0; column < count; column++) values.push(this.#value(column));
    return values;
  }

  async reset(): Promise<void> {
    // What it returns is how the last run ended.
    await this.#module._sqlite3_reset(this.#pointer);
    this.#module._sqlite3_clear_bindings(this.#pointer);
  }

  async finalize(): Promise<void> {
    await this.#module._sqlite3_finalize(this.#pointer);
  }

  #value(column: number): SqlValue {
    const module = this.#module;
    const pointer = this.#pointer;
    switch (module._sqlite3_column_type(pointer, column)) {
      case valueTypes.integer: {
        const value = module._sqlite3_column_double(pointer, column);
        if (Number.isSafeInteger(value)) return value;
        const low = BigInt.asUintN(32, BigInt(module._sqlite3_column_int64(pointer, column)));
        return (BigInt(module.getTempRet0()) << 32n) | low;
      }
      case valueTypes.float:
        return module._sqlite3_column_double(pointer, column);
      case valueTypes.text:
        return decodeText(this.#bytes(module._sqlite3_column_text(pointer, column), column));
      case valueTypes.blob:
        return this.#bytes(module._sqlite3_column_blob(pointer, column), column).slice();
      default:
        return null;
    }
  }

  /** Borrowed until the next call. */
  #bytes(start: Pointer, column: number): Uint8Array {
    const length = this.#module._sqlite3_column_bytes(this.#pointer, column);
    return this.#module.HEAPU8.subarray(start, start + length);
  }
}

function peek(module: WaSqliteModule, address: Pointer): Pointer {
  return module.HEAP32[address >>> 2] ?? 0;
}
