// The parameters of a statement of `@sqlite.org/sqlite-wasm`.
import type { Sqlite3Static, WasmPointer } from "@sqlite.org/sqlite-wasm";
import type { ParameterSlots } from "./bind-parameters.ts";
import { sqliteExportsOf } from "./sqlite-wasm-exports.ts";

export function parameterSlots(sqlite3: Sqlite3Static, statement: WasmPointer): ParameterSlots {
  const { capi, wasm } = sqlite3;
  const raw = sqliteExportsOf(sqlite3);
  const free = capi.SQLITE_WASM_DEALLOC;
  return {
    count: raw.sqlite3_bind_parameter_count(statement),
    nameOf: (index) => capi.sqlite3_bind_parameter_name(statement, index) || undefined,
    bindNull: (index) => raw.sqlite3_bind_null(statement, index),
    bindBlob: (index, bytes) => {
      const copy = wasm.allocFromTypedArray(bytes);
      return raw.sqlite3_bind_blob(statement, index, copy, bytes.length, free);
    },
    bindText: (index, utf8) => {
      const copy = wasm.allocFromTypedArray(utf8);
      return raw.sqlite3_bind_text(statement, index, copy, utf8.length, free);
    },
    bindInteger: (index, value) => raw.sqlite3_bind_int64(statement, index, value),
    bindDouble: (index, value) => raw.sqlite3_bind_double(statement, index, value),
    textOf: (code) => capi.sqlite3_errstr(code),
  };
}
