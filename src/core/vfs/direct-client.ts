// Requests to a SQLite that runs in the thread that asks: each is answered while that thread stands still, but for what has to be
// waited for, after which the statement is run again.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { Mutex, throwIfAborted } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import type { PageMap } from "../view/page-map.ts";
import { DirectSource } from "./direct-source.ts";
import type { BlockingView, DirectSourceOptions } from "./direct-source.ts";
import { LentViews } from "./lent-views.ts";
import { Postponed } from "./postponed.ts";
import type { Request, RowsReply } from "./protocol.ts";
import { SqliteHost } from "./sqlite-host.ts";
import { ThreadViews } from "./thread-views.ts";

/** Runs of one statement. Each time more of what it reads is there. */
const maxRuns = 256;

export interface DirectClientOptions extends Omit<DirectSourceOptions, "lent"> {
  /** What SQL calls the replica. */
  readonly name: string;
}

export class DirectClient implements Disposable {
  readonly #lent: LentViews<BlockingView>;
  readonly #source: DirectSource;
  readonly #views: ThreadViews;
  readonly #host: SqliteHost;
  readonly #turn = new Mutex();

  constructor(sqlite3: Sqlite3Static, options: DirectClientOptions) {
    const { name, pages, isCancelled } = options;
    this.#lent = new LentViews(pages);
    this.#source = new DirectSource({ ...options, lent: this.#lent });
    this.#views = new ThreadViews({ name, cache: pages.cache, source: this.#source });
    this.#host = new SqliteHost(sqlite3, {
      name,
      views: this.#views,
      isCancelled,
      isInterrupt: (error) => error instanceof Postponed || isCancelled(),
    });
  }

  /** The state that the next query sees: the one that is held, or the newest. */
  get current(): PageMap {
    return this.#lent.current;
  }

  /** Throws what SQLite or the store says, or the signal's reason as soon as SQLite has stopped. */
  ask(request: Request, waiting: Waiting): Promise<RowsReply> {
    return this.#turn.run(() => this.#ask(request, waiting), waiting);
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
    this.#lent[Symbol.dispose]();
  }

  async #ask(request: Request, waiting: Waiting): Promise<RowsReply> {
    for (let run = 1; ; run++) {
      throwIfAborted(waiting);
      const wasInTransaction = this.#host.isInTransaction;
      try {
        return this.#run(request);
      } catch (error) {
        throwIfAborted(waiting);
        if (!(error instanceof Postponed)) throw error;
        // A statement that writes, to tables in memory, has taken its transaction with it.
        const isUndone = this.#host.isInTransaction === wasInTransaction;
        if (run === maxRuns || request.kind !== "start" || !isUndone) throw notAgain(error);
        await error.work(waiting);
      }
    }
  }

  #run(request: Request): RowsReply {
    this.#lent.tell((news) => this.#views.hear(news));
    try {
      return this.#host.answer(request);
    } finally {
      this.#lent.settle(this.#host.inUse());
    }
  }
}

/** What to say of a statement that cannot be run again by itself, because rows of it were given away. */
function notAgain({ cause }: Postponed): unknown {
  if (!hasCode(cause, "store/changed")) return cause;
  return new HeadwaterError(
    "view/too-old",
    "Snapshot too old: files of the replica were merged while the rows of this statement were read. Run it again.",
    { cause },
  );
}
