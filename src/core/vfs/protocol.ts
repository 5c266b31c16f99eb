// What the two threads of an open replica say to each other. The caller's thread has the store and answers for pages and
// moments; the other one has SQLite, asks, and waits. Both hold the frame cache and the page maps in shared memory.
import type { SharedFrameCache } from "../view/frame-cache.ts";
import type { SharedPageMap } from "../view/page-map.ts";
import type { SqlParameters, SqlValue } from "./sql-values.ts";
import type { OpenRequest } from "./sqlite-wasm-vfs.ts";
import type { SentError } from "../base/sent-error.ts";

/** Words of the shared `control` array. */
export const controlWords = {
  /** One of `answers`; SQLite's thread sleeps on it. */
  answer: 0,
  /** 1 while what SQLite is doing shall end. */
  cancelled: 1,
  /** The state that a moment means, four words: its answer. */
  viewId: 2,
  pageSize: 3,
  commit: 4,
  generation: 5,
} as const;

export const answers = { none: 0, given: 1, failed: 2 } as const;

/** Largest page of SQLite: the size of the memory that a page is handed over in. */
export const mailboxSizeBytes = 65536;

/** A page map under the number by which SQLite's thread asks for its pages. */
export interface NumberedView {
  readonly id: number;
  readonly map: SharedPageMap;
}

/**
 * What SQLite's thread is told of views with each request. While it sleeps it can be told nothing but words: a view that it
 * has no map of, or an old one, is read page by page from the caller's thread until the next request.
 */
export interface ViewNews {
  /** The view that a transaction gets which begins now. */
  readonly newest: number;
  /** Views that it does not know, or whose pages lie elsewhere by now. */
  readonly maps: readonly NumberedView[];
}

/** What SQLite's thread, which starts before there is anything to read, is to serve. */
export interface ThreadData {
  /** Of the replica, for file names in SQL. */
  readonly name: string;
  readonly control: SharedArrayBuffer;
  readonly mailbox: SharedArrayBuffer;
  readonly cache: SharedFrameCache;
}

/** From the caller's thread; one at a time, each gets one `Reply`. */
export type Request =
  | {
      readonly kind: "start";
      readonly sql: string;
      readonly parameters: SqlParameters;
      /** A second statement in the text is a mistake. */
      readonly isSingle: boolean;
    }
  | { readonly kind: "next"; readonly statement: number }
  | { readonly kind: "close"; readonly statement: number };

/** A request as SQLite's thread gets it. */
export interface SentRequest {
  readonly request: Request;
  readonly news: ViewNews;
}

/** To SQLite's thread. It serves one replica at a time, and between two of them holds on to nothing. */
export type ThreadMessage =
  | ({ readonly kind: "begin" } & ThreadData)
  | ({ readonly kind: "request" } & SentRequest)
  | { readonly kind: "end" };

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

/** What SQLite holds on to. */
export interface ViewsInUse {
  /** Numbers of the views that SQLite may still read from. */
  readonly views: readonly number[];
  /** Of the view that a transaction or an open statement holds. */
  readonly snapshot: number | undefined;
}

export type Reply = (RowsReply | FailedReply) &
  ViewsInUse & {
    /** Whether statements stand between `BEGIN` and `COMMIT`. */
    readonly isInTransaction: boolean;
  };

/** What the name of a file in SQL says of a moment: `file:app?at=5 minutes ago`. */
export type AskedMoment = Pick<OpenRequest, "at" | "txid">;

/** What SQLite's thread asks for. After `page` and `moment` it sleeps until `control` has an answer. */
export type Question =
  | { readonly kind: "page"; readonly view: number; readonly pgno: number }
  | { readonly kind: "touch"; readonly view: number; readonly pgno: number }
  | ({ readonly kind: "moment" } & AskedMoment);

/** From SQLite's thread. */
export type Message = { readonly kind: "reply"; readonly reply: Reply } | Question;
