// Values of flags: from text to what the library takes. Each throws `usage/invalid` and says what it wants.
import { HeadwaterError } from "../../core/base/errors.ts";
import { type Txid, parseTxid } from "../../core/ltx/txid.ts";
import { parseBytes, parseDuration } from "../base/quantities.ts";

/** Exactly 16 hexadecimal digits. */
export function parseTxidFlag(text: string): Txid {
  const txid = parseTxid(text.toLowerCase());
  if (txid !== undefined) return txid;
  throw usage(
    `-txid must be 16 hexadecimal digits, as headwater ltx prints them, not ${quote(text)}.`,
  );
}

/**
 * An RFC 3339 time. Finer fractions than milliseconds are rounded up: LTX files carry whole milliseconds, and whatever
 * lies strictly before the time lies strictly before the next one too.
 */
export function parseTimestampFlag(text: string): Date {
  const pattern =
    /^(?<second>\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2})(?:\.(?<fraction>\d+))?(?<zone>[Zz]|[+-]\d{2}:\d{2})$/u;
  const parts = pattern.exec(text)?.groups;
  const seconds = Date.parse(`${parts?.["second"] ?? ""}${parts?.["zone"] ?? ""}`.toUpperCase());
  if (parts === undefined || Number.isNaN(seconds)) {
    throw usage(
      `-timestamp must be an ISO 8601 time with its zone, such as 2000-01-01T00:00:00Z, not ${quote(text)}.`,
    );
  }
  return new Date(seconds + Math.ceil(Number(`0.${parts["fraction"] ?? 0}`) * 1000));
}

/** A whole number of at least 1. */
export function parseCountFlag(name: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/u.test(text) && Number.isSafeInteger(value) && value >= 1) return value;
  throw usage(`-${name} must be a whole number of at least 1, not ${quote(text)}.`);
}

/** A duration as Go writes it, in milliseconds. */
export function parseDurationFlag(name: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return durationMs;
  throw usage(`-${name} must be a duration such as 1s, 250ms or 1m30s, or 0, not ${quote(text)}.`);
}

/** A size in bytes. */
export function parseBytesFlag(name: string, text: string): number {
  const sizeBytes = parseBytes(text);
  if (sizeBytes !== undefined) return sizeBytes;
  throw usage(`-${name} must be a size such as 500MB or 1GiB, not ${quote(text)}.`);
}

/** One of `choices`. */
export function parseChoiceFlag<T extends string>(
  name: string,
  choices: readonly T[],
  text: string,
): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw usage(`-${name} must be one of ${choices.join(", ")}, not ${quote(text)}.`);
}

/** An error in how a command was called. */
export function usage(message: string): HeadwaterError {
  return new HeadwaterError("usage/invalid", message);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
