// What a page and the worker of an open replica say to each other. The worker has the store, the views and, in a thread of its own
// or not, SQLite; the page calls, and each call gets one answer.
import type { SentError } from "../core/base/sent-error.ts";
import type { LogFields, LogLevel } from "../core/base/log.ts";
import type { Request, RowsReply } from "../core/vfs/protocol.ts";
import type { OpenMoment } from "../core/vfs/replica-moment.ts";

/** Where SQLite waits for pages: asleep in a thread of its own, or in the worker itself, which stands still then. */
export type WorkerMode = "shared" | "worker";

/** The first message to a worker of ours: what it is to be. */
export interface WorkerRole {
  readonly role: "replica" | "sqlite";
  /** Where SQLite's module lies if no bundler has put it into the worker. */
  readonly sqliteUrl: string | undefined;
}

export interface OpenCall extends OpenMoment {
  readonly kind: "open";
  readonly url: string;
  readonly mode: WorkerMode;
  readonly cacheBytes: number;
  /** Where to keep a local copy (`opfs-shelf.ts`). */
  readonly hydrate: string | undefined;
}

export type Call =
  | OpenCall
  | { readonly kind: "ask"; readonly request: Request }
  | { readonly kind: "refresh" };

export type WorkerRequest =
  | {
      readonly kind: "call";
      readonly id: number;
      readonly call: Call;
      /** What a worker that stands still can look at: gone when the call is to end (`cancel-token.ts`). */
      readonly token: string | undefined;
    }
  | { readonly kind: "abort"; readonly id: number };

/** The state that the next query sees. */
export interface ToldState {
  readonly txid: bigint;
  readonly timestampMs: number;
}

export type WorkerReply =
  | {
      readonly kind: "done";
      readonly id: number;
      readonly state: ToldState;
      /** Of `ask`. */
      readonly rows: RowsReply | undefined;
    }
  | {
      readonly kind: "failed";
      readonly id: number;
      readonly state: ToldState | undefined;
      readonly error: SentError;
    }
  | { readonly kind: "state"; readonly state: ToldState }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly event: string;
      readonly fields: LogFields;
    };
