// What runs in SQLite's thread, in Node and in browsers: answers requests, one at a time, and sleeps for pages.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { FrameCache } from "../view/frame-cache.ts";
import { toSent } from "../base/sent-error.ts";
import type { FailedReply, Message, RowsReply, SentRequest, ThreadData } from "./protocol.ts";
import { PageFailure, SleepingSource } from "./sleeping-source.ts";
import { SqliteHost } from "./sqlite-host.ts";
import { ThreadViews } from "./thread-views.ts";

export class SleepingThread {
  readonly #post: (message: Message) => void;
  readonly #views: ThreadViews;
  readonly #host: SqliteHost;

  constructor(sqlite3: Sqlite3Static, data: ThreadData, post: (message: Message) => void) {
    const { name } = data;
    this.#post = post;
    const source = new SleepingSource(data, post);
    this.#views = new ThreadViews({ name, cache: FrameCache.fromShared(data.cache), source });
    const isCancelled = (): boolean => source.isCancelled;
    const host = { name, views: this.#views, isCancelled, isInterrupt: isCancelled };
    this.#host = new SqliteHost(sqlite3, host);
  }

  hear({ request, news }: SentRequest): void {
    this.#views.hear(news);
    const answer = this.#answer(request);
    const { isInTransaction } = this.#host;
    this.#post({ kind: "reply", reply: { ...answer, ...this.#host.inUse(), isInTransaction } });
  }

  #answer(request: SentRequest["request"]): RowsReply | FailedReply {
    try {
      return this.#host.answer(request);
    } catch (error) {
      const isOurs = !(error instanceof PageFailure);
      return { kind: "failed", error: isOurs ? toSent(error, stackOf) : undefined };
    }
  }
}

/** Of an error that nobody has foreseen. */
function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
