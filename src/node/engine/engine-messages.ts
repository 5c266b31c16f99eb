// What the application's process and the capture process say to each other over IPC (structured clone).
import { type ErrorCode, HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { LogFields, LogLevel } from "../../core/base/log.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import type { EngineStatus } from "./engine-status.ts";

export type ToEngine =
  | { readonly kind: "start"; readonly options: ResolvedOptions }
  | { readonly kind: "sync"; readonly id: number }
  | { readonly kind: "status"; readonly id: number }
  | { readonly kind: "stop" };

export type FromEngine =
  | { readonly kind: "ready" }
  | { readonly kind: "synced"; readonly id: number; readonly txid: bigint }
  | { readonly kind: "status"; readonly id: number; readonly status: EngineStatus }
  /** With `id`: that request failed. Without: replication has ended. */
  | { readonly kind: "failed"; readonly id?: number | undefined; readonly error: SentError }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly event: string;
      readonly fields: LogFields;
    }
  | { readonly kind: "stopped" };

/** An error as it crosses the process boundary. */
export interface SentError {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** An error for the way to another process. */
export function toSent(error: unknown): SentError {
  if (error instanceof HeadwaterError) {
    return { code: error.code, message: error.message, data: sendable(error.data) };
  }
  return { code: undefined, message: messageOf(error), data: {} };
}

/** Only what survives the way to another process. */
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
