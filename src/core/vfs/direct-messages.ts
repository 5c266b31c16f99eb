// Requests and replies as bytes in shared memory: those that are small and plain, which are those of lookups. `false`: it is
// not, and goes as a message.
import type { Reply, Request, RowsReply, SentRequest, ViewsInUse } from "./protocol.ts";
import type { SqlParameter, SqlParameters, SqlValue } from "./sql-values.ts";
import type { ValueReader, ValueWriter } from "./value-codec.ts";

const kinds = { start: 1, next: 2, close: 3 } as const;

const maxInt64 = 0x7fff_ffff_ffff_ffffn;

/** In place of a number that is `undefined`: statements and views are counted from 1. */
const none = 0;

export function writeRequest(to: ValueWriter, { request, news }: SentRequest): boolean {
  if (news.maps.length > 0) return false;
  to.restart();
  to.uint32(news.newest);
  to.uint32(kinds[request.kind]);
  if (request.kind !== "start") {
    to.uint32(request.statement);
    return !to.isFull;
  }
  const { sql, parameters, isSingle } = request;
  to.uint32(isSingle ? 1 : 0);
  to.text(sql);
  return writeParameters(to, parameters) && !to.isFull;
}

export function readRequest(from: ValueReader): SentRequest {
  from.restart();
  const news = { newest: from.uint32(), maps: [] };
  return { news, request: readKind(from) };
}

export function writeReply(to: ValueWriter, reply: Reply): boolean {
  if (reply.kind !== "rows") return false;
  to.restart();
  to.uint32(reply.statement ?? none);
  to.uint32(reply.isEmpty ? 1 : 0);
  to.text(reply.rest);
  writeList(to, reply.columns, (column) => to.text(column));
  to.uint32(reply.rows[0]?.length ?? 0);
  writeList(to, reply.rows, (row) => {
    for (const value of row) to.value(value);
  });
  writeList(to, reply.views, (view) => to.uint32(view));
  to.uint32(reply.snapshot ?? none);
  return !to.isFull;
}

export function readReply(from: ValueReader): RowsReply & ViewsInUse {
  from.restart();
  const statement = readNumber(from);
  const isEmpty = from.uint32() === 1;
  const rest = from.text();
  const columns = readList(from, () => from.text());
  const width = from.uint32();
  const rows = readList(from, () => readRow(from, width));
  const views = readList(from, () => from.uint32());
  const snapshot = readNumber(from);
  return { kind: "rows", statement, isEmpty, rest, columns, rows, views, snapshot };
}

function readKind(from: ValueReader): Request {
  const kind = from.uint32();
  if (kind === kinds.next) return { kind: "next", statement: from.uint32() };
  if (kind === kinds.close) return { kind: "close", statement: from.uint32() };
  const isSingle = from.uint32() === 1;
  return { kind: "start", isSingle, sql: from.text(), parameters: readParameters(from) };
}

/** Anything that is no value goes as a message, whose receiver says so. */
function writeParameters(to: ValueWriter, parameters: SqlParameters): boolean {
  const names = isList(parameters) ? undefined : Object.keys(parameters);
  const values = isList(parameters) ? parameters : Object.values(parameters);
  to.uint32(values.length);
  to.uint32(names === undefined ? 0 : 1);
  for (let index = 0; index < values.length; index++) {
    const value = toValue(values[index]);
    if (value === undefined) return false;
    if (names !== undefined) to.text(names[index] ?? "");
    to.value(value);
  }
  return true;
}

function readParameters(from: ValueReader): SqlParameters {
  const length = from.uint32();
  if (from.uint32() === 0) return Array.from({ length }, () => from.value());
  return Object.fromEntries(Array.from({ length }, () => [from.text(), from.value()]));
}

function toValue(value: SqlParameter | undefined): SqlValue | undefined {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "bigint") {
    return value > maxInt64 || value < -maxInt64 - 1n ? undefined : value;
  }
  return value instanceof Uint8Array ? value : undefined;
}

function writeList<T>(to: ValueWriter, items: readonly T[], write: (item: T) => void): void {
  to.uint32(items.length);
  for (const item of items) {
    if (to.isFull) return;
    write(item);
  }
}

function readList<T>(from: ValueReader, read: () => T): T[] {
  const count = from.uint32();
  const items: T[] = [];
  for (let index = 0; index < count; index++) items.push(read());
  return items;
}

function readRow(from: ValueReader, width: number): SqlValue[] {
  const row: SqlValue[] = [];
  for (let column = 0; column < width; column++) row.push(from.value());
  return row;
}

function readNumber(from: ValueReader): number | undefined {
  const number = from.uint32();
  return number === none ? undefined : number;
}

function isList(parameters: SqlParameters): parameters is readonly SqlParameter[] {
  return Array.isArray(parameters);
}
