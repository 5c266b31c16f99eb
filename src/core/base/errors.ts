// One error class for everything a caller can meet, with a closed table of codes. Throw for failure,
// return `undefined` for normal absence, assert for our own bug. Every message ends with what to do next.
import { errorCodes } from "./error-codes.ts";

/** What a caller can do about an error. */
export type Recovery =
  /** The same call may work later. */
  | "retry"
  /** Capture must compare the source with its page checksums and send what differs. */
  | "resync"
  /** Local state must be made anew; nothing that was committed is lost. */
  | "reset"
  /** A person has to change something first. */
  | "fatal";

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorDetails {
  /** Facts as data: paths, keys, TXIDs, sizes. Never secrets. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

/** The only error class Headwater throws on purpose. */
export class HeadwaterError extends Error {
  override readonly name = "HeadwaterError";
  readonly code: ErrorCode;
  readonly recovery: Recovery;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.recovery = errorCodes[code].recovery;
    this.data = details.data ?? {};
  }
}

/** True when `error` is ours and has one of the codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is HeadwaterError {
  return error instanceof HeadwaterError && codes.includes(error.code);
}

/** The `code` of a platform error (`"ENOENT"`, `"ENOSPC"`), if it has one. */
export function platformCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
