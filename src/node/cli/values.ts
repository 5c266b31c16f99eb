// Values of flags: from text to what the library takes. Each throws `usage/invalid` and says what it wants.
import { HeadwaterError } from "../../core/base/errors.ts";
import { type Txid, parseTxid } from "../../core/ltx/txid.ts";
import { parseMonthlyCost } from "../base/money.ts";
import { parseBytes, parseDuration } from "../base/quantities.ts";

/** Exactly 16 hexadecimal digits. */
export function parseTxidFlag(text: string): Txid {
  const txid = parseTxid(text.toLowerCase());
  if (txid !== undefined) return txid;
  throw usage(
    `-txid must be 16 hexadecimal digits, as headwater ltx prints them, not ${quote(text)}.`,
  );
}

/** The name of a generation of a Litestream 0.3 backup: 16 hexadecimal digits. */
export function parseGenerationFlag(text: string): string {
  if (/^[0-9a-f]{16}$/iu.test(text)) return text.toLowerCase();
  throw usage(
    `-generation must be 16 hexadecimal digits, as the directories of the backup are named, not ${quote(text)}.`,
  );
}

/** A WAL index of a Litestream 0.3 backup: 8 hexadecimal digits. */
export function parseIndexFlag(text: string): number {
  if (/^[0-9a-f]{8}$/iu.test(text)) return Number.parseInt(text, 16);
  throw usage(
    `-index must be 8 hexadecimal digits, as files in the backup are named, not ${quote(text)}.`,
  );
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

/** US dollars a month. */
export function parseCostFlag(name: string, text: string): number {
  const usd = parseMonthlyCost(text);
  if (usd !== undefined) return usd;
  throw usage(
    `-${name} must be a price such as '$1/month', '1 USD/month' or '$12/year', not ${quote(text)}.`,
  );
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
