// Rows of a query as text: a table for people, JSON and CSV for programs. Each format takes the rows as they come.
import { unreachable } from "../../core/base/assert.ts";
import { toHex } from "../../core/base/bytes.ts";
import type { SqlValue } from "../../core/vfs/sql-values.ts";

export const rowFormats = ["table", "json", "csv"] as const;

export type RowFormat = (typeof rowFormats)[number];

/** Writes one result. `rows` may be called any number of times, `end` once. */
export interface RowWriter {
  rows(rows: readonly (readonly SqlValue[])[]): string;
  end(): string;
}

/** Rows that decide how wide the columns of a table are. */
const measuredRows = 256;

/** Control characters would move the cursor or colour the terminal. */
const controlPattern = /\p{Cc}/gu;

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

export function openRowWriter(format: RowFormat, columns: readonly string[]): RowWriter {
  switch (format) {
    case "table":
      return new TableWriter(columns);
    case "json":
      return new JsonWriter(columns);
    case "csv":
      return new CsvWriter(columns);
    default:
      return unreachable(format);
  }
}

/** A value as a table shows it. */
export function formatValue(value: SqlValue): string {
  if (value === null) return "NULL";
  if (value instanceof Uint8Array) return `x'${toHex(value)}'`;
  if (typeof value !== "string") return formatNumber(value);
  return value.replaceAll(
    controlPattern,
    (character) =>
      escapes[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Columns are as wide as the first rows need, which are held back for it; later rows may be wider. Numbers stand to the right. */
class TableWriter implements RowWriter {
  readonly #columns: readonly string[];
  #first: (readonly SqlValue[])[] = [];
  #widths: readonly number[] | undefined;

  constructor(columns: readonly string[]) {
    this.#columns = columns;
  }

  rows(rows: readonly (readonly SqlValue[])[]): string {
    if (this.#widths !== undefined) return this.#lines(rows);
    this.#first.push(...rows);
    return this.#first.length < measuredRows ? "" : this.end();
  }

  end(): string {
    if (this.#widths !== undefined) return "";
    const first = this.#first;
    this.#first = [];
    const titles = this.#columns.map(formatValue);
    this.#widths = titles.map((title, column) =>
      first.reduce(
        (width, row) => Math.max(width, formatValue(row[column] ?? null).length),
        title.length,
      ),
    );
    const rule = this.#widths.map((width) => "-".repeat(width));
    return this.#line(titles, []) + this.#line(rule, []) + this.#lines(first);
  }

  #lines(rows: readonly (readonly SqlValue[])[]): string {
    return rows.map((row) => this.#line(row.map(formatValue), row)).join("");
  }

  #line(cells: readonly string[], values: readonly SqlValue[]): string {
    const padded = cells.map((cell, column) => {
      const width = this.#widths?.[column] ?? 0;
      return isNumber(values[column] ?? null) ? cell.padStart(width) : cell.padEnd(width);
    });
    return `${padded.join("  ").trimEnd()}\n`;
  }
}

/** An array of objects. Integers keep all their digits, blobs are hexadecimal, infinity is 1e999, as SQLite writes it. */
class JsonWriter implements RowWriter {
  readonly #names: readonly string[];
  #isStarted = false;

  constructor(columns: readonly string[]) {
    this.#names = columns.map((column) => JSON.stringify(column));
  }

  rows(rows: readonly (readonly SqlValue[])[]): string {
    let text = "";
    for (const row of rows) {
      const members = row.map((value, column) => `${this.#names[column] ?? ""}:${toJson(value)}`);
      text += `${this.#isStarted ? ",\n" : "[\n"}  {${members.join(",")}}`;
      this.#isStarted = true;
    }
    return text;
  }

  end(): string {
    return this.#isStarted ? "\n]\n" : "[]\n";
  }
}

/** RFC 4180 with a header; lines end as on Unix. NULL is nothing, an empty text `""`, blobs are hexadecimal. */
class CsvWriter implements RowWriter {
  readonly #columns: readonly string[];
  #isStarted = false;

  constructor(columns: readonly string[]) {
    this.#columns = columns;
  }

  rows(rows: readonly (readonly SqlValue[])[]): string {
    return this.#head() + rows.map((row) => `${row.map(toCsv).join(",")}\n`).join("");
  }

  end(): string {
    return this.#head();
  }

  #head(): string {
    if (this.#isStarted) return "";
    this.#isStarted = true;
    return `${this.#columns.map(toCsv).join(",")}\n`;
  }
}

function isNumber(value: SqlValue): boolean {
  return typeof value === "number" || typeof value === "bigint";
}

/** As SQL reads it back. */
function formatNumber(value: number | bigint): string {
  if (value === Infinity) return "1e999";
  return value === -Infinity ? "-1e999" : String(value);
}

/** As JSON: all digits of an integer, a blob in hexadecimal. */
export function toJson(value: SqlValue): string {
  if (value === null) return "null";
  if (value instanceof Uint8Array) return JSON.stringify(toHex(value));
  return typeof value === "string" ? JSON.stringify(value) : formatNumber(value);
}

function toCsv(value: SqlValue): string {
  if (value === null) return "";
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value !== "string") return formatNumber(value);
  return value === "" || /[",\r\n]/u.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
