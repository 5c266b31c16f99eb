// The functions of SQLite's C interface that run for each statement, row or value, as WebAssembly exports them. The package's
// own wrappers convert each argument, which costs more than most of these calls.
import type { Sqlite3Static, WasmPointer } from "@sqlite.org/sqlite-wasm";

export interface SqliteExports {
  sqlite3_bind_parameter_count(statement: WasmPointer): number;
  sqlite3_bind_null(statement: WasmPointer, index: number): number;
  sqlite3_bind_int64(statement: WasmPointer, index: number, value: bigint): number;
  sqlite3_bind_double(statement: WasmPointer, index: number, value: number): number;
  /** SQLite frees the bytes with `free`, also where it refuses them. */
  sqlite3_bind_text(
    statement: WasmPointer,
    index: number,
    bytes: WasmPointer,
    sizeBytes: number,
    free: WasmPointer,
  ): number;
  sqlite3_bind_blob(
    statement: WasmPointer,
    index: number,
    bytes: WasmPointer,
    sizeBytes: number,
    free: WasmPointer,
  ): number;
  sqlite3_step(statement: WasmPointer): number;
  sqlite3_reset(statement: WasmPointer): number;
  sqlite3_clear_bindings(statement: WasmPointer): number;
  sqlite3_stmt_status(statement: WasmPointer, counter: number, reset: number): number;
  sqlite3_column_count(statement: WasmPointer): number;
  sqlite3_column_type(statement: WasmPointer, column: number): number;
  sqlite3_column_double(statement: WasmPointer, column: number): number;
  sqlite3_column_int64(statement: WasmPointer, column: number): bigint;
  sqlite3_column_text(statement: WasmPointer, column: number): WasmPointer;
  sqlite3_column_blob(statement: WasmPointer, column: number): WasmPointer;
  sqlite3_column_bytes(statement: WasmPointer, column: number): number;
}

export function sqliteExportsOf({ wasm }: Sqlite3Static): SqliteExports {
  // The package declares its exports as `any`; these are functions of the C interface with the types that WebAssembly has.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return wasm.exports as SqliteExports;
}
