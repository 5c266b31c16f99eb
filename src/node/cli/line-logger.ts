// Events as lines for a person or a log collector: time, level, event, fields.
import type { LogFields, LogLevel, Logger } from "../../core/base/log.ts";

const ranks: Readonly<Record<string, number>> = {
  trace: 0,
  debug: 0,
  info: 1,
  warn: 2,
  warning: 2,
  error: 3,
};

export interface LineLoggerOptions {
  /** The least level that is printed. */
  readonly level: string;
  /** Each line is a JSON object: `time`, `level`, `msg` (the event), and the fields; the level of an LTX file is `ltx_level`. */
  readonly json?: boolean;
}

/** Prints events: `2026-11-26T12:00:00.000Z INFO ltx.uploaded level=0 txid=0000000000000001`. */
export function createLineLogger(
  print: (text: string) => void,
  { level, json = false }: LineLoggerOptions,
): Logger {
  const least = ranks[level] ?? 1;
  const format = json ? formatJsonEvent : formatEvent;
  return {
    log: (eventLevel, event, fields) => {
      if ((ranks[eventLevel] ?? 1) < least) return;
      print(format(new Date(), eventLevel, event, fields));
    },
  };
}

function formatJsonEvent(time: Date, level: LogLevel, msg: string, fields?: LogFields): string {
  // A field of that name is the level of an LTX file.
  const { level: ltxLevel, ...rest } = fields ?? {};
  const head = { time: time.toISOString(), level: level.toUpperCase(), msg };
  const record = { ...head, ...(ltxLevel === undefined ? {} : { ltx_level: ltxLevel }), ...rest };
  return `${JSON.stringify(record, bigintToText)}\n`;
}

function bigintToText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

function formatEvent(time: Date, level: LogLevel, event: string, fields?: LogFields): string {
  return `${time.toISOString()} ${level.toUpperCase()} ${event}${formatFields(fields)}\n`;
}

/** ` name=value` for each field that has one. */
export function formatFields(fields: LogFields = {}): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => ` ${name}=${formatValue(value)}`)
    .join("");
}

function formatValue(value: unknown): string {
  if (typeof value === "number") return String(Number.isInteger(value) ? value : value.toFixed(3));
  const text =
    typeof value === "string"
      ? value
      : typeof value === "bigint"
        ? value.toString()
        : JSON.stringify(value);
  return /^[^\s"=]+$/u.test(text) ? text : JSON.stringify(text);
}
