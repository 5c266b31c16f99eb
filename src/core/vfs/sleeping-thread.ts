// What runs in SQLite's thread, in Node and in browsers: answers requests, one at a time, and sleeps for pages.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { FrameCache } from "../view/frame-cache.ts";
import { toSent } from "../base/sent-error.ts";
import { ThreadHandOver } from "./hand-over.ts";
import type {
  FailedReply,
  Message,
  Question,
  Reply,
  RowsReply,
  SentRequest,
  ThreadData,
} from "./protocol.ts";
import { PageFailure, SleepingSource } from "./sleeping-source.ts";
import { SqliteHost } from "./sqlite-host.ts";
import { ThreadViews } from "./thread-views.ts";

export class SleepingThread {
  readonly #post: (message: Message) => void;
  readonly #views: ThreadViews;
  readonly #host: SqliteHost;
  readonly #handOver: ThreadHandOver | undefined;

  constructor(sqlite3: Sqlite3Static, data: ThreadData, post: (message: Message) => void) {
    const { name } = data;
    this.#post = post;
    if (data.handOver !== undefined) {
      this.#handOver = new ThreadHandOver(data.handOver, { nowMs: () => performance.now() });
    }
    const source = new SleepingSource(data, (question) => this.#question(question));
    this.#views = new ThreadViews({ name, cache: FrameCache.fromShared(data.cache), source });
    const isCancelled = (): boolean => source.isCancelled;
    const host = { name, views: this.#views, isCancelled, isInterrupt: isCancelled };
    this.#host = new SqliteHost(sqlite3, host);
  }

  /** Replies to a request, and to those that are handed over soon after. */
  hear(first: SentRequest): void {
    let sent: SentRequest | undefined = first;
    for (; sent !== undefined; sent = this.#handOver?.listen()) this.#serve(sent);
  }

  #serve({ request, news }: SentRequest): void {
    this.#views.hear(news);
    const reply: Reply = { ...this.#answer(request), ...this.#host.inUse() };
    const post = (): void => this.#post({ kind: "reply", reply });
    if (this.#handOver === undefined) post();
    else this.#handOver.reply(reply, post);
  }

  #question(question: Question): void {
    // Who stands still answers nothing.
    if (question.kind !== "touch") this.#handOver?.leave();
    this.#post(question);
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
