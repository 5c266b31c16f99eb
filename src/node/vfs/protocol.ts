// What the two threads of an open replica say to each other. The caller's thread has the store and answers for pages and
// moments; the other one has SQLite, asks, and waits. Both hold the frame cache and the page maps in shared memory.
import type { MessagePort } from "node:worker_threads";
import type { SharedFrameCache } from "../../core/view/frame-cache.ts";
import type { SharedPageMap } from "../../core/view/page-map.ts";
import type { SqlParameters, SqlValue } from "../../core/vfs/sql-values.ts";
import type { SentError } from "../base/sent-error.ts";

/** Words of the shared `control` array. */
export const controlWords = {
  /** One of `answers`; SQLite's thread sleeps on it. */
  answer: 0,
  /** 1 while what SQLite is doing shall end. */
  cancelled: 1,
} as const;

/** `moved`: given, and the view has another map now, which comes by the port. */
export const answers = { none: 0, given: 1, moved: 2, failed: 3 } as const;

/** Largest page of SQLite: the size of the memory that a page is handed over in. */
export const mailboxSizeBytes = 65536;

/** A page map under the number by which SQLite's thread asks for its pages. */
export interface NumberedView {
  readonly id: number;
  readonly map: SharedPageMap;
}

/** The first message to SQLite's thread, which starts before there is anything to read. */
export interface ThreadData {
  /** Of the replica, for file names in SQL. */
  readonly name: string;
  readonly control: SharedArrayBuffer;
  readonly mailbox: SharedArrayBuffer;
  readonly cache: SharedFrameCache;
  readonly newest: NumberedView;
  /** Brings the views that were asked for, or have moved. */
  readonly views: MessagePort;
}

/** From the caller's thread; one at a time, each gets one `Reply`. */
export type Request = {
  /** If there is a newer view since the request before. */
  readonly newest?: NumberedView | undefined;
} & (
  | {
      readonly kind: "start";
      readonly sql: string;
      readonly parameters: SqlParameters;
      /** A second statement in the text is a mistake. */
      readonly isSingle: boolean;
    }
  | { readonly kind: "next"; readonly statement: number }
  | { readonly kind: "close"; readonly statement: number }
);

/** Some rows of a statement. */
export interface RowsReply {
  readonly kind: "rows";
  /** To ask for more; `undefined` at the end. */
  readonly statement: number | undefined;
  /** Only after `start`. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
  /** Only after `start`: whether it was a statement at all, and the text after it. */
  readonly isEmpty: boolean;
  readonly rest: string;
}

export interface FailedReply {
  readonly kind: "failed";
  /** `undefined`: the caller's thread has the error, because it could not give a page or a moment. */
  readonly error: SentError | undefined;
}

export type Answer = RowsReply | FailedReply;

export type Reply = Answer & {
  /** Numbers of the views that SQLite may still read from. */
  readonly views: readonly number[];
  /** Of the view that a transaction or an open statement holds. */
  readonly snapshot: number | undefined;
};

/** From SQLite's thread. After `page` and `moment` it sleeps until `control` has an answer. */
export type Message =
  | { readonly kind: "reply"; readonly reply: Reply }
  | { readonly kind: "page"; readonly view: number; readonly pgno: number }
  | { readonly kind: "touch"; readonly view: number; readonly pgno: number }
  | { readonly kind: "moment"; readonly at: string | undefined; readonly txid: string | undefined };
