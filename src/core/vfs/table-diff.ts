// Which rows differ between two schemas of one connection, table by table: SQL that SQLite answers from both at once. Rows
// are the same by primary key, or by rowid in a table without one.
import type { Waiting } from "../base/async.ts";
import { bytesEqual } from "../base/bytes.ts";
import { type SqlRow, type SqlValue, toSqlRow } from "./sql-values.ts";
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
  readonly hasRowid: boolean;
}

/** What makes two rows the same one. */
interface RowKey {
  readonly names: readonly string[];
  /** Of the rows `a` and `b`. */
  readonly isSame: string;
}

/** Names of the tables in either schema: no views, no virtual tables, none of SQLite's own. */
export async function listTables(
  db: ReplicaDatabase,
  { from, to }: DiffedSchemas,
  waiting: Waiting,
): Promise<readonly string[]> {
  const sql =
    "SELECT max(name) AS name FROM pragma_table_list WHERE schema IN (?, ?) AND type = 'table' " +
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' GROUP BY name COLLATE NOCASE ORDER BY name";
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
  const isComparable = old !== undefined && now !== undefined && isSameList(old.key, now.key);
  if (old !== undefined) {
    const rowKey = isComparable ? keyOf(old, now) : keyOf(old, old);
    const missingFrom = isComparable ? to : undefined;
    const side = { table, shape: old, key: rowKey, schema: from, missingFrom };
    for await (const { key, row } of oneSided(db, side, waiting)) {
      yield { table, kind: "removed", key, from: row, to: undefined };
    }
  }
  if (now !== undefined) {
    const rowKey = isComparable ? keyOf(now, old) : keyOf(now, now);
    const missingFrom = isComparable ? from : undefined;
    const side = { table, shape: now, key: rowKey, schema: to, missingFrom };
    for await (const { key, row } of oneSided(db, side, waiting)) {
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
  const sql =
    "SELECT i.name, i.pk, l.wr FROM pragma_table_list(?1) AS l JOIN pragma_table_info(?1, ?2) AS i " +
    "WHERE l.schema = ?2 AND l.type = 'table'";
  const rows = await Array.fromAsync(db.query(sql, [table, schema], waiting));
  if (rows.length === 0) return undefined;
  const keyed = rows
    .filter(({ pk }) => pk !== 0)
    .toSorted((a, b) => Number(a["pk"]) - Number(b["pk"]));
  return {
    columns: rows.map(({ name }) => String(name)),
    key: keyed.map(({ name }) => String(name)),
    hasRowid: rows[0]?.["wr"] === 0,
  };
}

interface OneSide {
  readonly table: string;
  readonly shape: TableShape;
  readonly key: RowKey;
  readonly schema: string;
  /** Only rows whose key this schema has not. */
  readonly missingFrom: string | undefined;
}

async function* oneSided(
  db: ReplicaDatabase,
  { table, shape, key, schema, missingFrom }: OneSide,
  waiting: Waiting,
): AsyncGenerator<{ readonly key: SqlRow; readonly row: SqlRow }, void, undefined> {
  const { columns } = shape;
  const keys = key.names;
  const where =
    missingFrom === undefined
      ? ""
      : ` WHERE NOT EXISTS (SELECT 1 FROM ${placeOf(missingFrom, table)} AS b WHERE ${key.isSame})`;
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
  const { names: keys, isSame: isSameRow } = keyOf(old, now);
  // Of the key, too: its collation may take for one what is not the same text.
  const both = now.columns.filter((name) => old.columns.includes(name));
  if (both.length === 0) return;
  const differs = both.map(differsIn).join(" OR ");
  const sql =
    `SELECT ${listOf("a", [...keys, ...both])}, ${listOf("b", both)} FROM ${placeOf(schemas.from, table)} AS a ` +
    `JOIN ${placeOf(schemas.to, table)} AS b ON ${isSameRow} WHERE ${differs}`;
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

/** The key of the rows of `shape` which finds them in `other`, a table with the same primary key. */
function keyOf(shape: TableShape, other: TableShape): RowKey {
  const rowid = rowidOf(shape, other);
  const shared = shape.columns.filter((name) => other.columns.includes(name));
  // Where columns hide every name of the rowid, a row is known by all that it holds.
  const unnamed = rowid === undefined ? shared : [rowid];
  const names = shape.key.length > 0 ? shape.key : unnamed;
  const isEqual = names.map(isEqualIn).join(" AND ");
  if (rowid === undefined || names.includes(rowid)) return { names, isSame: isEqual };
  // A primary key that is no INTEGER PRIMARY KEY may be NULL, in any number of rows.
  const isWhole = names.map((name) => `a.${quoted(name)} IS NOT NULL`).join(" AND ");
  return { names, isSame: `${isEqual} AND (${isWhole} OR ${isEqualIn(rowid)})` };
}

/** A name of the rowid that no column of either table hides. */
function rowidOf(shape: TableShape, other: TableShape): string | undefined {
  if (!shape.hasRowid || !other.hasRowid) return undefined;
  const hidden = new Set(
    [...shape.columns, ...other.columns].map((column) => column.toLowerCase()),
  );
  return ["rowid", "_rowid_", "oid"].find((name) => !hidden.has(name));
}

function isEqualIn(name: string): string {
  return `a.${quoted(name)} IS b.${quoted(name)}`;
}

/** Whatever the collation and the affinity of the column: `+` takes the latter away. */
function differsIn(name: string): string {
  return `+a.${quoted(name)} IS NOT +b.${quoted(name)} COLLATE BINARY`;
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
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
