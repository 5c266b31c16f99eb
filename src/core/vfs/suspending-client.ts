// Requests to a SQLite in the thread that asks, which is suspended while it waits for a page (JSPI), so that its thread goes on.
import { Mutex } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import type { PageMap } from "../view/page-map.ts";
import { LentViews } from "./lent-views.ts";
import type { ParseMoment } from "./page-desk.ts";
import type { Request, RowsReply } from "./protocol.ts";
import type { ReplicaPages } from "./replica-pages.ts";
import { runSoon } from "./soon.ts";
import { Statements } from "./statements.ts";
import { SuspendingSource } from "./suspending-source.ts";
import { closed } from "./thread-errors.ts";
import { ThreadViews } from "./thread-views.ts";
import { WaConnection } from "./wa-sqlite-connection.ts";
import type { WaSqliteModule } from "./wa-sqlite-module.ts";
import { WaSqliteVfs } from "./wa-sqlite-vfs.ts";

const vfsName = "headwater";

/** How long SQLite may calculate before its thread has a turn: less than a frame of a screen. */
const turnMs = 10;

export interface SuspendingClientOptions {
  /** What SQL calls the replica. */
  readonly name: string;
  readonly pages: ReplicaPages;
  readonly parseMoment: ParseMoment;
  readonly clock: Clock;
  /** Resolves once the thread has done what else it has to do. */
  readonly giveTurn: () => Promise<void>;
}

export class SuspendingClient implements AsyncDisposable {
  readonly #module: WaSqliteModule;
  readonly #options: SuspendingClientOptions;
  readonly #lent: LentViews;
  readonly #views: ThreadViews;
  readonly #vfs: WaSqliteVfs;
  readonly #turn = new Mutex();
  readonly #closing = new AbortController();
  #signal: AbortSignal = this.#closing.signal;
  #turnBeganMs = 0;
  #statements: Statements | undefined;

  /** The module is its own from now on. */
  constructor(module: WaSqliteModule, options: SuspendingClientOptions) {
    const { name, pages, parseMoment } = options;
    this.#module = module;
    this.#options = options;
    this.#lent = new LentViews(pages);
    const source = new SuspendingSource({ pages, lent: this.#lent, parseMoment });
    this.#views = new ThreadViews({ name, cache: pages.cache, source });
    this.#vfs = new WaSqliteVfs(module, {
      name: vfsName,
      open: (request) => this.#views.open(request),
      waiting: () => ({ signal: this.#signal }),
    });
  }

  /** The state that the next query sees: the one that is held, or the newest. */
  get current(): PageMap {
    return this.#lent.current;
  }

  /** Throws what SQLite or the store says, `query/closed`, or the signal's reason as soon as SQLite has stopped. */
  ask(request: Request, { signal }: Waiting): Promise<RowsReply> {
    return this.#turn.run(() => this.#ask(request, signal), { signal });
  }

  /** Ends what is running. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(closed());
    // SQLite itself goes with its module.
    await this.#turn.run(() => this.#lent[Symbol.dispose]());
  }

  async #ask(request: Request, signal: AbortSignal | undefined): Promise<RowsReply> {
    const { signal: closing } = this.#closing;
    this.#signal = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    this.#signal.throwIfAborted();
    this.#turnBeganMs = this.#options.clock.monotonicMs();
    this.#lent.tell((news) => this.#views.hear(news));
    try {
      // Not before the first request, so that a replica whose first page cannot be had says so to who asks.
      this.#statements ??= new Statements(await this.#connect());
      return await runSoon(this.#statements.answer(request));
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    } finally {
      this.#lent.settle(this.#views.inUse(this.#vfs.readers()));
    }
  }

  async #connect(): Promise<WaConnection> {
    const connection = await WaConnection.open({
      module: this.#module,
      file: `file:${encodeURIComponent(this.#options.name)}`,
      vfs: this.#vfs,
      onProgress: () => this.#onProgress(),
    });
    // This SQLite would keep what does not fit into its memory in files, which the VFS has not.
    const { statement } = await connection.prepare("PRAGMA temp_store = memory");
    await statement?.step();
    await statement?.finalize();
    return connection;
  }

  /** Whether what SQLite is doing shall end. */
  async #onProgress(): Promise<boolean> {
    const { clock, giveTurn } = this.#options;
    if (clock.monotonicMs() - this.#turnBeganMs > turnMs) {
      await giveTurn();
      this.#turnBeganMs = clock.monotonicMs();
    }
    return this.#signal.aborted;
  }
}
