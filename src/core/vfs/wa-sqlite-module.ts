// `@journeyapps/wa-sqlite`, its build with JSPI: SQLite in WebAssembly that lets its thread go on while it waits for a page. What
// of its module we use, by the C interface that it exports; its own JavaScript interface patches `BigInt`, so it stays out.
import { HeadwaterError } from "../base/errors.ts";

/** Address in its memory. */
export type Pointer = number;

/** The default export of `@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs`, or a function that calls it with what it needs. */
export type LoadWaSqlite = () => Promise<unknown>;

/** Functions whose names begin with `_` are C's; those that can come to read a page answer in a promise. */
export interface WaSqliteModule {
  /** Another array whenever the memory has grown. */
  readonly HEAPU8: Uint8Array;
  readonly HEAP32: Int32Array;
  UTF8ToString(text: Pointer): string;
  /** The high half of the 64 bits that a function has just returned. */
  getTempRet0(): number;
  /** 0 for success. */
  vfs_register(vfs: object, makeDefault: boolean): number;
  /** An `async` function may take its time. */
  progress_handler(
    db: Pointer,
    steps: number,
    handler: (data: Pointer) => Promise<number>,
    data: Pointer,
  ): void;
  /** Address of `sqlite3_free`. */
  _getSqliteFree(): Pointer;
  _sqlite3_malloc(sizeBytes: number): Pointer;
  _sqlite3_free(memory: Pointer): void;
  _sqlite3_open_v2(name: Pointer, out: Pointer, flags: number, vfs: Pointer): Promise<number>;
  _sqlite3_extended_result_codes(db: Pointer, isOn: number): number;
  _sqlite3_errmsg(db: Pointer): Pointer;
  _sqlite3_errstr(code: number): Pointer;
  _sqlite3_uri_parameter(name: Pointer, key: Pointer): Pointer;
  _sqlite3_prepare_v3(
    db: Pointer,
    sql: Pointer,
    sizeBytes: number,
    flags: number,
    statementOut: Pointer,
    tailOut: Pointer,
  ): Promise<number>;
  _sqlite3_step(statement: Pointer): Promise<number>;
  _sqlite3_reset(statement: Pointer): Promise<number>;
  _sqlite3_finalize(statement: Pointer): Promise<number>;
  _sqlite3_clear_bindings(statement: Pointer): number;
  _sqlite3_stmt_status(statement: Pointer, counter: number, isReset: number): number;
  _sqlite3_bind_parameter_count(statement: Pointer): number;
  _sqlite3_bind_parameter_name(statement: Pointer, index: number): Pointer;
  _sqlite3_bind_null(statement: Pointer, index: number): number;
  _sqlite3_bind_double(statement: Pointer, index: number, value: number): number;
  _sqlite3_bind_int64(statement: Pointer, index: number, low: number, high: number): number;
  _sqlite3_bind_text(
    statement: Pointer,
    index: number,
    text: Pointer,
    sizeBytes: number,
    free: Pointer,
  ): number;
  _sqlite3_bind_blob(
    statement: Pointer,
    index: number,
    blob: Pointer,
    sizeBytes: number,
    free: Pointer,
  ): number;
  _sqlite3_column_count(statement: Pointer): number;
  _sqlite3_column_name(statement: Pointer, column: number): Pointer;
  _sqlite3_column_type(statement: Pointer, column: number): number;
  _sqlite3_column_double(statement: Pointer, column: number): number;
  /** The low half. */
  _sqlite3_column_int64(statement: Pointer, column: number): number;
  _sqlite3_column_text(statement: Pointer, column: number): Pointer;
  _sqlite3_column_blob(statement: Pointer, column: number): Pointer;
  _sqlite3_column_bytes(statement: Pointer, column: number): number;
}

/** Loads a module of its own, with a memory of its own. Throws `usage/invalid` where that cannot be. */
export async function loadWaSqlite(load: LoadWaSqlite): Promise<WaSqliteModule> {
  if (!("Suspending" in WebAssembly)) {
    throw new HeadwaterError(
      "usage/invalid",
      "This JavaScript engine has no JSPI, by which SQLite waits for a page without a worker: open the replica in " +
        "another mode.",
    );
  }
  const module: unknown = await load();
  if (isWaSqlite(module)) return module;
  throw new HeadwaterError(
    "usage/invalid",
    "That is no module of wa-sqlite with JSPI: give the default export of " +
      "@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs, version 2.0.6.",
  );
}

const encoder = new TextEncoder();

/** Memory of SQLite with a copy of `bytes` and a zero behind them. Throws `query/sql` if it has none left. */
export function allocate(module: WaSqliteModule, bytes: Uint8Array): Pointer {
  const memory = module._sqlite3_malloc(bytes.length + 1);
  if (memory === 0) {
    throw new HeadwaterError("query/sql", `SQLite has no memory left for ${bytes.length} bytes.`);
  }
  module.HEAPU8.set(bytes, memory);
  module.HEAPU8[memory + bytes.length] = 0;
  return memory;
}

/** Calls with a text in SQLite's memory, which is freed in the end. */
export function withText<T>(module: WaSqliteModule, text: string, call: (text: Pointer) => T): T {
  const memory = allocate(module, encoder.encode(text));
  try {
    return call(memory);
  } finally {
    module._sqlite3_free(memory);
  }
}

function isWaSqlite(module: unknown): module is WaSqliteModule {
  return (
    typeof module === "object" &&
    module !== null &&
    "vfs_register" in module &&
    "progress_handler" in module &&
    "_sqlite3_step" in module
  );
}
