// Prepared statements that have run to their end, for the next time that somebody asks the same: preparing a statement
// costs more than a lookup.
import { type Steps, settled } from "./soon.ts";
import type { SqlStatement } from "./sql-connection.ts";

/** Of the text: a statement takes about ten times as much. */
const limits = { statements: 32, sqlLength: 4096 } as const;

/** Some PRAGMAs do their work when they are prepared, so not every statement can run twice. */
const repeatable = /^\s*(?:select|with|values)\b/iu;

export class StatementCache {
  /** By text. The one kept last comes last. */
  readonly #statementBySql = new Map<string, SqlStatement>();

  /** Hands over the statement of a text that is nothing else. It is the caller's, to keep again or to dispose. */
  take(sql: string): SqlStatement | undefined {
    const statement = this.#statementBySql.get(sql);
    this.#statementBySql.delete(sql);
    return statement;
  }

  /** Takes over a statement that has ended well. */
  *keep(sql: string, statement: SqlStatement): Steps<void> {
    if (sql.length > limits.sqlLength || !repeatable.test(sql) || this.#statementBySql.has(sql)) {
      yield* settled(statement.finalize());
      return;
    }
    yield* settled(statement.reset());
    this.#statementBySql.set(sql, statement);
    yield* this.#leave(limits.statements);
  }

  /** Finalizes all of them. */
  *clear(): Steps<void> {
    yield* this.#leave(0);
  }

  *#leave(count: number): Steps<void> {
    for (const [oldest, kept] of this.#statementBySql) {
      if (this.#statementBySql.size <= count) break;
      this.#statementBySql.delete(oldest);
      yield* settled(kept.finalize());
    }
  }
}
