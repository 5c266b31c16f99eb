// Events as lines for a person or a log collector: time, level, event, fields.
import { styleText } from "node:util";
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
  /**
   * Default `text`. `json`: each line is an object: `time`, `level`, `msg` (the event), and the fields; the level of an LTX
   * file is `ltx_level`. `pretty`: for a person who looks on.
   */
  readonly type?: "text" | "json" | "pretty" | undefined;
  /** Colours for `pretty`. */
  readonly isTerminal?: boolean | undefined;
}

/** Prints events: `2026-11-26T12:00:00.000Z INFO ltx.uploaded level=0 txid=0000000000000001`. */
export function createLineLogger(
  print: (text: string) => void,
  { level, type = "text", isTerminal = false }: LineLoggerOptions,
): Logger {
  const least = ranks[level] ?? 1;
  const pretty = isTerminal ? formatInColours : formatPretty;
  const format = { text: formatEvent, json: formatJsonEvent, pretty }[type];
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

type Colour = "gray" | "green" | "yellow" | "red";

const colours: Readonly<Record<LogLevel, Colour>> = {
  debug: "gray",
  info: "green",
  warn: "yellow",
  error: "red",
};

function formatInColours(time: Date, level: LogLevel, event: string, fields?: LogFields): string {
  return formatPretty(time, level, event, fields, (colour, text) =>
    styleText(colour, text, { validateStream: false }),
  );
}

function formatPretty(
  time: Date,
  level: LogLevel,
  event: string,
  fields?: LogFields,
  paint: (colour: Colour, text: string) => string = (_, text) => text,
): string {
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
  const name = paint(colours[level], level.toUpperCase().padEnd(5));
  return `${paint("gray", clock)} ${name} ${event.padEnd(22)}${paint("gray", formatFields(fields))}\n`;
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
