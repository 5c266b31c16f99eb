// A connection of `node:sqlite` to a local copy, with the same values as that of the WebAssembly SQLite. It has no interrupt and
// tells little of a statement: what is not exactly as there must fail, so that the other SQLite is asked.
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { HeadwaterError } from "../../core/base/errors.ts";
import { scanSql } from "../../core/vfs/scan-sql.ts";
import type { SqlParameter, SqlParameters, SqlValue } from "../../core/vfs/sql-values.ts";
import type { PreparedSql, SqlConnection, SqlStatement } from "../../core/vfs/sql-connection.ts";

export class NativeConnection implements SqlConnection, Disposable {
  readonly #database: DatabaseSync;

  /** The file must not change while it is open: SQLite takes no lock, and never looks whether a page is still what it was. */
  constructor(path: string) {
    const url = pathToFileURL(path);
    url.searchParams.set("immutable", "1");
    this.#database = new DatabaseSync(url, { readOnly: true });
  }

  prepare(sql: string): PreparedSql {
    const { end, words, parameters } = scanSql(sql);
    if (words.length === 0) return { statement: undefined, rest: "" };
    const text = sql.slice(0, end);
    const statement = this.#database.prepare(text);
    if (!isLinear(this.#database, text))
      throw notHere("It may take long, and could not be stopped.");
    return { statement: new NativeStatement(statement, parameters), rest: sql.slice(end) };
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

type Bound = string | number | bigint | Uint8Array | null;

class NativeStatement implements SqlStatement {
  readonly #statement: StatementSync;
  readonly #names: readonly (string | undefined)[];
  readonly columns: readonly string[];
  #named: Record<string, Bound> = {};
  #anonymous: readonly Bound[] = [];
  #rows: Iterator<unknown> | undefined;
  #row: SqlValue[] = [];

  constructor(statement: StatementSync, names: readonly (string | undefined)[]) {
    statement.setReturnArrays(true);
    statement.setReadBigInts(true);
    statement.setAllowBareNamedParameters(false);
    this.#statement = statement;
    this.#names = names;
    this.columns = statement.columns().map(({ name }) => name);
  }

  bind(parameters: SqlParameters): void {
    const names = this.#names;
    const values: readonly SqlParameter[] = isList(parameters)
      ? parameters
      : names.map((name) => valueOf(parameters, name));
    const given = isList(parameters) ? values.length : Object.keys(parameters).length;
    if (given !== names.length) throw unbound();
    this.#named = {};
    const anonymous: Bound[] = [];
    for (const [index, value] of values.entries()) {
      const name = names[index];
      // Those with a number of their own `node:sqlite` takes by their place, too.
      if (name === undefined || name.startsWith("?")) anonymous.push(toBound(value));
      else this.#named[name] = toBound(value);
    }
    this.#anonymous = anonymous;
  }

  step(): boolean {
    this.#rows ??= this.#statement.iterate(this.#named, ...this.#anonymous);
    const next: IteratorResult<unknown, unknown> = this.#rows.next();
    if (next.done === true) return false;
    this.#row = toRow(next.value);
    return true;
  }

  row(): SqlValue[] {
    return this.#row;
  }

  reset(): void {
    this.#rows?.return?.();
    this.#rows = undefined;
  }

  /** `node:sqlite` finalizes it with its last reference. */
  finalize(): void {
    this.reset();
  }
}

function valueOf(
  parameters: Exclude<SqlParameters, readonly SqlParameter[]>,
  name: string | undefined,
): SqlParameter {
  if (name === undefined) throw unbound();
  const key = [name, name.slice(1)].find((one) => Object.hasOwn(parameters, one));
  const value = key === undefined ? undefined : parameters[key];
  if (value === undefined) throw unbound();
  return value;
}

/** A number that is whole becomes an integer, which `node:sqlite` makes only of a bigint. */
function toBound(value: SqlParameter): Bound {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (value === undefined || (typeof value === "object" && !isBlobOrNull(value))) throw unbound();
  return value;
}

function isBlobOrNull(value: object | null): boolean {
  return value === null || value instanceof Uint8Array;
}

function toRow(value: unknown): SqlValue[] {
  // `setReturnArrays` has it be an array of what SQLite has; the array is new for each row.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const row = value as SqlValue[];
  for (let column = 0; column < row.length; column++) {
    const one = row[column];
    if (typeof one !== "bigint") continue;
    const number = Number(one);
    if (Number.isSafeInteger(number)) row[column] = number;
  }
  return row;
}

function isList(parameters: SqlParameters): parameters is readonly SqlParameter[] {
  return Array.isArray(parameters);
}

function unbound(): HeadwaterError {
  return notHere("The parameters do not fit.");
}

/** Nobody sees it: the other SQLite is asked then. */
function notHere(why: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", why);
}

/** Loops of a query plan, and among them those that find at most one row. */
const loop = /^(?:SCAN|SEARCH|RIGHT-JOIN)\b/u;
const lookup = /^(?:SCAN CONSTANT ROW|SEARCH .* USING INTEGER PRIMARY KEY \(rowid=\?\))/u;

/**
 * Whether a statement reads no more than about the whole database once. A loop within a loop, or a recursion, can take for ever, and
 * SQLite cannot be interrupted here.
 */
function isLinear(database: DatabaseSync, sql: string): boolean {
  const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all();
  const details = plan.map(({ detail }) => String(detail));
  return details.filter((detail) => loop.test(detail) && !lookup.test(detail)).length <= 1;
}
