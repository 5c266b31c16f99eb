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
  const row: { [column: string]: SqlValue } = {};
  for (const [index, column] of columns.entries()) {
    const value = values[index] ?? null;
    // To an assignment it is no column.
    if (column === "__proto__") Reflect.defineProperty(row, column, { ...plain, value });
    else row[column] = value;
  }
  return row;
}

const plain = { enumerable: true, configurable: true, writable: true } as const;
