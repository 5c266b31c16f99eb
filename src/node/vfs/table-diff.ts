// Which rows differ between two schemas of one connection, table by table: SQL that SQLite answers from both at once. Rows
// are the same by primary key, or by rowid in a table without one.
import type { Waiting } from "../../core/base/async.ts";
import { bytesEqual } from "../../core/base/bytes.ts";
import { type SqlRow, type SqlValue, toSqlRow } from "../../core/vfs/sql-values.ts";
import type { ReplicaDatabase } from "./replica-database.ts";

/** One row that differs. */
export interface RowChange {
  readonly table: string;
  readonly kind: "added" | "removed" | "changed";
  /** What makes it the same row. */
  readonly key: SqlRow;
  /** All columns of an added or removed row; of a changed one those that differ. */
  readonly from: SqlRow | undefined;
  readonly to: SqlRow | undefined;
}

/** The older and the newer schema of the connection. */
export interface DiffedSchemas {
  readonly from: string;
  readonly to: string;
}

interface TableShape {
  readonly columns: readonly string[];
  /** Empty: rows are known by their rowid. */
  readonly key: readonly string[];
}

/** Names of the tables in either schema: no views, no virtual tables, none of SQLite's own. */
export async function listTables(
  db: ReplicaDatabase,
  { from, to }: DiffedSchemas,
  waiting: Waiting,
): Promise<readonly string[]> {
  const sql =
    "SELECT DISTINCT name FROM pragma_table_list WHERE schema IN (?, ?) AND type = 'table' " +
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
  const rows = await Array.fromAsync(db.query(sql, [from, to], waiting));
  return rows.map(({ name }) => String(name));
}

/** The rows of a table that differ: removed ones, then added, then changed. */
export async function* diffTable(
  db: ReplicaDatabase,
  table: string,
  schemas: DiffedSchemas,
  waiting: Waiting,
): AsyncGenerator<RowChange, void, undefined> {
  const { from, to } = schemas;
  const old = await shapeOf(db, from, table, waiting);
  const now = await shapeOf(db, to, table, waiting);
  const isComparable = old !== undefined && now !== undefined && old.key.join() === now.key.join();
  if (old !== undefined) {
    const missingFrom = isComparable ? to : undefined;
    for await (const { key, row } of oneSided(
      db,
      { table, shape: old, schema: from, missingFrom },
      waiting,
    )) {
      yield { table, kind: "removed", key, from: row, to: undefined };
    }
  }
  if (now !== undefined) {
    const missingFrom = isComparable ? from : undefined;
    for await (const { key, row } of oneSided(
      db,
      { table, shape: now, schema: to, missingFrom },
      waiting,
    )) {
      yield { table, kind: "added", key, from: undefined, to: row };
    }
  }
  if (isComparable) yield* changedRows(db, { table, old, now, schemas }, waiting);
}

async function shapeOf(
  db: ReplicaDatabase,
  schema: string,
  table: string,
  waiting: Waiting,
): Promise<TableShape | undefined> {
  const sql = "SELECT name, pk FROM pragma_table_info(?, ?)";
  const rows = await Array.fromAsync(db.query(sql, [table, schema], waiting));
  if (rows.length === 0) return undefined;
  const keyed = rows
    .filter(({ pk }) => pk !== 0)
    .toSorted((a, b) => Number(a["pk"]) - Number(b["pk"]));
  return {
    columns: rows.map(({ name }) => String(name)),
    key: keyed.map(({ name }) => String(name)),
  };
}

interface OneSide {
  readonly table: string;
  readonly shape: TableShape;
  readonly schema: string;
  /** Only rows whose key this schema has not. */
  readonly missingFrom: string | undefined;
}

async function* oneSided(
  db: ReplicaDatabase,
  { table, shape, schema, missingFrom }: OneSide,
  waiting: Waiting,
): AsyncGenerator<{ readonly key: SqlRow; readonly row: SqlRow }, void, undefined> {
  const { columns } = shape;
  const keys = keyOf(shape);
  const where =
    missingFrom === undefined
      ? ""
      : ` WHERE NOT EXISTS (SELECT 1 FROM ${placeOf(missingFrom, table)} AS b WHERE ${joinOn(keys)})`;
  const sql = `SELECT ${listOf("a", [...keys, ...columns])} FROM ${placeOf(schema, table)} AS a${where}`;
  for await (const values of rowsOf(db, sql, waiting)) {
    yield {
      key: toSqlRow(keys, values),
      row: toSqlRow(columns, values.slice(keys.length)),
    };
  }
}

async function* changedRows(
  db: ReplicaDatabase,
  {
    table,
    old,
    now,
    schemas,
  }: {
    readonly table: string;
    readonly old: TableShape;
    readonly now: TableShape;
    readonly schemas: DiffedSchemas;
  },
  waiting: Waiting,
): AsyncGenerator<RowChange, void, undefined> {
  const keys = keyOf(now);
  const both = now.columns.filter((name) => old.columns.includes(name) && !keys.includes(name));
  if (both.length === 0) return;
  const differs = both.map((name) => `a.${quoted(name)} IS NOT b.${quoted(name)}`).join(" OR ");
  const sql =
    `SELECT ${listOf("a", [...keys, ...both])}, ${listOf("b", both)} FROM ${placeOf(schemas.from, table)} AS a ` +
    `JOIN ${placeOf(schemas.to, table)} AS b ON ${joinOn(keys)} WHERE ${differs}`;
  for await (const values of rowsOf(db, sql, waiting)) {
    const was = values.slice(keys.length, keys.length + both.length);
    const is = values.slice(keys.length + both.length);
    const changed = both.map((_, index) => index).filter((index) => !isSame(was[index], is[index]));
    const pick = (from: readonly SqlValue[]): SqlRow =>
      toSqlRow(
        changed.map((index) => both[index] ?? ""),
        changed.map((index) => from[index] ?? null),
      );
    yield { table, kind: "changed", key: toSqlRow(keys, values), from: pick(was), to: pick(is) };
  }
}

async function* rowsOf(
  db: ReplicaDatabase,
  sql: string,
  waiting: Waiting,
): AsyncGenerator<readonly SqlValue[], void, undefined> {
  for await (const { rows } of db.batches(sql, waiting)) yield* rows;
}

function keyOf({ key, columns }: TableShape): readonly string[] {
  if (key.length > 0) return key;
  const names = new Set(columns.map((name) => name.toLowerCase()));
  // A column of that name would hide it.
  return ["rowid", "_rowid_", "oid"].filter((name) => !names.has(name)).slice(0, 1);
}

/** `IS`, because a primary key that is no INTEGER PRIMARY KEY may be NULL. */
function joinOn(keys: readonly string[]): string {
  return keys.map((name) => `a.${quoted(name)} IS b.${quoted(name)}`).join(" AND ");
}

function listOf(alias: string, names: readonly string[]): string {
  return names.map((name) => `${alias}.${quoted(name)}`).join(", ");
}

function placeOf(schema: string, table: string): string {
  return `${quoted(schema)}.${quoted(table)}`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function isSame(a: SqlValue | undefined, b: SqlValue | undefined): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b;
  return bytesEqual(a, b);
}
