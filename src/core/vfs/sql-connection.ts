// A connection of any SQLite, and its statements: of one that answers at once, and of one that may wait for a page.
import type { Soon } from "./soon.ts";
import type { SqlParameters, SqlValue } from "./sql-values.ts";

/** A prepared statement of any SQLite. While it is between its first row and its end it holds the snapshot. */
export interface SqlStatement {
  /** Their names, which the first step can change: SQLite prepares the statement anew if the schema has changed. */
  readonly columns: readonly string[];
  /** Throws `usage/invalid` for a parameter that is missing, unknown, or of a type that SQLite has not. */
  bind(parameters: SqlParameters): void;
  /** `true`: there is a row to read. Throws what went wrong. */
  step(): Soon<boolean>;
  /** The values of the row. Copied. */
  row(): SqlValue[];
  /** Makes it ready to run again, with other parameters. */
  reset(): Soon<void>;
  finalize(): Soon<void>;
}

/** A statement, and what comes after it in the text. */
export interface PreparedSql {
  /** `undefined`: there was only space and comments. */
  readonly statement: SqlStatement | undefined;
  readonly rest: string;
}

export interface SqlConnection {
  /** The first statement of `sql`. Throws what is wrong with it. */
  prepare(sql: string): Soon<PreparedSql>;
}
