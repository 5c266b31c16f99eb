// What the application's process and the capture process say to each other over IPC (structured clone).
import type { LogFields, LogLevel } from "../../core/base/log.ts";
import type { SentError } from "../../core/base/sent-error.ts";
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
