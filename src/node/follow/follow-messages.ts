// What the caller's process and the follow process say to each other over IPC (structured clone).
import type { LogFields, LogLevel } from "../../core/base/log.ts";
import type { SentError } from "../../core/base/sent-error.ts";
import type { FollowStatus, ResolvedFollowOptions } from "./follow-options.ts";

export type ToFollower =
  | { readonly kind: "start"; readonly options: ResolvedFollowOptions }
  | { readonly kind: "stop" };

export type FromFollower =
  | { readonly kind: "ready" }
  /** Whenever the status has changed. */
  | { readonly kind: "status"; readonly status: FollowStatus }
  | { readonly kind: "progress"; readonly doneBytes: number; readonly totalBytes: number }
  /** Following could not be started. */
  | { readonly kind: "failed"; readonly error: SentError }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly event: string;
      readonly fields: LogFields;
    };
