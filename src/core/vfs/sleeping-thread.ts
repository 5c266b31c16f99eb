// What runs in SQLite's thread, in Node and in browsers: answers requests, one at a time, and sleeps for pages.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { FrameCache } from "../view/frame-cache.ts";
import { toSent } from "../base/sent-error.ts";
import { must, unreachable } from "../base/assert.ts";
import type {
  FailedReply,
  Message,
  RowsReply,
  SentRequest,
  ThreadData,
  ThreadMessage,
} from "./protocol.ts";
import { PageFailure, SleepingSource } from "./sleeping-source.ts";
import { SqliteHost } from "./sqlite-host.ts";
import { ThreadViews } from "./thread-views.ts";

/** What serves one replica. */
interface Service {
  readonly views: ThreadViews;
  readonly host: SqliteHost;
}

export class SleepingThread {
  readonly #sqlite3: Sqlite3Static;
  readonly #post: (message: Message) => void;
  #service: Service | undefined;

  constructor(sqlite3: Sqlite3Static, post: (message: Message) => void) {
    this.#sqlite3 = sqlite3;
    this.#post = post;
  }

  hear(message: ThreadMessage): void {
    switch (message.kind) {
      case "begin":
        this.#service = this.#begin(message);
        break;
      case "request":
        this.#serve(message, must(this.#service, "replica of SQLite's thread"));
        break;
      case "end":
        this.#service?.host[Symbol.dispose]();
        this.#service = undefined;
        break;
      default:
        unreachable(message);
    }
  }

  #begin(data: ThreadData): Service {
    const { name } = data;
    const source = new SleepingSource(data, this.#post);
    const views = new ThreadViews({ name, cache: FrameCache.fromShared(data.cache), source });
    const isCancelled = (): boolean => source.isCancelled;
    const options = { name, views, isCancelled, isInterrupt: isCancelled };
    return { views, host: new SqliteHost(this.#sqlite3, options) };
  }

  #serve({ request, news }: SentRequest, { views, host }: Service): void {
    views.hear(news);
    const answer = answerOf(host, request);
    const { isInTransaction } = host;
    this.#post({ kind: "reply", reply: { ...answer, ...host.inUse(), isInTransaction } });
  }
}

function answerOf(host: SqliteHost, request: SentRequest["request"]): RowsReply | FailedReply {
  try {
    return host.answer(request);
  } catch (error) {
    const isOurs = !(error instanceof PageFailure);
    return { kind: "failed", error: isOurs ? toSent(error, stackOf) : undefined };
  }
}

/** Of an error that nobody has foreseen. */
function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
