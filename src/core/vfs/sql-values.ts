// Values between a program and SQLite.

/** What SQLite gives: integers beyond 2^53 as bigint, blobs as bytes of their own. */
export type SqlValue = string | number | bigint | Uint8Array | null;

/** What can be bound. A boolean is 1 or 0; a whole number becomes an integer. */
export type SqlParameter = SqlValue | boolean;

/** For `?` in their order, or by name, with or without its `:`, `@` or `$`. */
export type SqlParameters = readonly SqlParameter[] | { readonly [name: string]: SqlParameter };

/** One row: value by column name. Of two columns with one name the last counts. */
export type SqlRow = { readonly [column: string]: SqlValue };

/** A row as an object. */
export function toSqlRow(columns: readonly string[], values: readonly SqlValue[]): SqlRow {
  // Not by assignment, to which `__proto__` is no column.
  return Object.fromEntries(columns.map((column, index) => [column, values[index] ?? null]));
}
