// Binds parameters to a statement of `@sqlite.org/sqlite-wasm`.
import type { Sqlite3Static, WasmPointer } from "@sqlite.org/sqlite-wasm";
import { HeadwaterError } from "../base/errors.ts";
import { sqliteCodes, sqliteExportsOf } from "./sqlite-wasm-exports.ts";
import type { SqlParameter, SqlParameters } from "./sql-values.ts";

const encoder = new TextEncoder();

const maxInt64 = 0x7fff_ffff_ffff_ffffn;

/** Binds all. Throws `usage/invalid` for one that is missing, unknown, or no value that SQLite has. */
export function bindParameters(
  sqlite3: Sqlite3Static,
  statement: WasmPointer,
  parameters: SqlParameters,
): void {
  const count = sqliteExportsOf(sqlite3).sqlite3_bind_parameter_count(statement);
  if (isList(parameters)) {
    if (parameters.length !== count) {
      throw invalid(
        `The statement has ${count} parameters and ${parameters.length} values were given.`,
      );
    }
    for (const [index, value] of parameters.entries()) {
      bindOne(sqlite3, statement, index + 1, value);
    }
    return;
  }
  const isUsed = new Set<string>();
  for (let index = 1; index <= count; index++) {
    const name = sqlite3.capi.sqlite3_bind_parameter_name(statement, index);
    if (name === null || name === "") {
      throw invalid(`Parameter ${index} has no name: give the values as a list.`);
    }
    const key = [name, name.slice(1)].find((one) => Object.hasOwn(parameters, one));
    if (key === undefined) throw invalid(`There is no value for the parameter ${name}.`);
    isUsed.add(key);
    bindOne(sqlite3, statement, index, parameters[key]);
  }
  const unknown = Object.keys(parameters).find((key) => !isUsed.has(key));
  if (unknown !== undefined) throw invalid(`The statement has no parameter ${unknown}.`);
}

function bindOne(
  sqlite3: Sqlite3Static,
  statement: WasmPointer,
  index: number,
  value: SqlParameter | undefined,
): void {
  const code = bindValue(sqlite3, statement, index, value);
  if (code !== sqliteCodes.ok) {
    throw invalid(`Parameter ${index} cannot be bound: ${sqlite3.capi.sqlite3_errstr(code)}.`);
  }
}

function bindValue(
  sqlite3: Sqlite3Static,
  statement: WasmPointer,
  index: number,
  value: SqlParameter | undefined,
): number {
  const raw = sqliteExportsOf(sqlite3);
  if (value === null) return raw.sqlite3_bind_null(statement, index);
  if (value instanceof Uint8Array) {
    const copy = sqlite3.wasm.allocFromTypedArray(value);
    const free = sqlite3.capi.SQLITE_WASM_DEALLOC;
    return raw.sqlite3_bind_blob(statement, index, copy, value.length, free);
  }
  if (typeof value === "string") {
    const bytes = encoder.encode(value);
    const copy = sqlite3.wasm.allocFromTypedArray(bytes);
    const free = sqlite3.capi.SQLITE_WASM_DEALLOC;
    return raw.sqlite3_bind_text(statement, index, copy, bytes.length, free);
  }
  if (typeof value === "boolean") return raw.sqlite3_bind_int64(statement, index, value ? 1n : 0n);
  if (typeof value === "number") {
    return Number.isSafeInteger(value)
      ? raw.sqlite3_bind_int64(statement, index, BigInt(value))
      : raw.sqlite3_bind_double(statement, index, value);
  }
  if (typeof value === "bigint") {
    if (value > maxInt64 || value < -maxInt64 - 1n) {
      throw invalid(`Parameter ${index} is beyond the 64 bits of an integer.`);
    }
    return raw.sqlite3_bind_int64(statement, index, value);
  }
  throw invalid(
    `Parameter ${index} is ${value === undefined ? "undefined" : `of type ${typeof value}`}: give a string, number, ` +
      "bigint, boolean, Uint8Array or null.",
  );
}

function isList(parameters: SqlParameters): parameters is readonly SqlParameter[] {
  return Array.isArray(parameters);
}

function invalid(message: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", message);
}
