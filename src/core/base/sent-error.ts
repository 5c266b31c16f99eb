// Errors and log fields on their way to another process or thread (structured clone), which keeps no class.
import { type ErrorCode, HeadwaterError, messageOf } from "./errors.ts";
import type { LogFields } from "./log.ts";

/** An error as it crosses the boundary. */
export interface SentError {
  /** `undefined`: none of ours. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** An error for the way. `textOf` says what becomes of one that is none of ours. */
export function toSent(error: unknown, textOf: (error: unknown) => string = messageOf): SentError {
  if (error instanceof HeadwaterError) {
    return { code: error.code, message: error.message, data: sendable(error.data) };
  }
  return { code: undefined, message: textOf(error), data: {} };
}

/** Only what survives the way. */
export function sendable(fields: LogFields): LogFields {
  const entries = Object.entries(fields).map(([name, value]) => {
    const isPlain = ["string", "number", "boolean", "bigint", "undefined"].includes(typeof value);
    return [name, isPlain ? value : JSON.stringify(value)];
  });
  return Object.fromEntries(entries);
}

/** What `toSent` was given, as an error again. */
export function toError({ code, message, data }: SentError): Error {
  return code === undefined ? new Error(message) : new HeadwaterError(code, message, { data });
}
