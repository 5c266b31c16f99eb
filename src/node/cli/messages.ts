// Events of the library as messages for a person.
import type { LogFields, Logger } from "../../core/base/log.ts";
import type { CliContext } from "./command.ts";

/** Prints warnings and errors, one line each: `Warning: store.retry url=s3://bucket/app attempt=1 ...`. */
export function createMessageLogger({ inform, isTerminal }: CliContext): Logger {
  // A progress bar may stand on the line; it draws itself again below.
  const clearLine = isTerminal ? "\r\u001B[K" : "";
  return {
    log: (level, event, fields) => {
      if (level !== "warn" && level !== "error") return;
      inform(
        `${clearLine}${level === "warn" ? "Warning" : "Error"}: ${event}${formatFields(fields)}\n`,
      );
    },
  };
}

function formatFields(fields: LogFields = {}): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => ` ${name}=${formatValue(value)}`)
    .join("");
}

function formatValue(value: unknown): string {
  const text = typeof value === "number" ? String(Math.round(value)) : String(value);
  return /\s/u.test(text) ? JSON.stringify(text) : text;
}
