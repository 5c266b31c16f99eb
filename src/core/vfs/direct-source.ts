// Pages for a SQLite that runs where the replica is read: a page that is missing is fetched while everything stands still.
// What takes more than reading ranges, such as a moment that somebody names, is done between two runs of the statement.
import { HeadwaterError } from "../base/errors.ts";
import type { PageMap } from "../view/page-map.ts";
import type { LentViews } from "./lent-views.ts";
import type { ParseMoment } from "./page-desk.ts";
import { Postponed } from "./postponed.ts";
import type { AskedMoment } from "./protocol.ts";
import type { PinnedView, ReplicaPages } from "./replica-pages.ts";
import type { KnownView, PageSource } from "./thread-views.ts";

/** A view that can be read while its reader stands still. */
export interface BlockingView extends PinnedView {
  /** `fetch`, at once. */
  fetchNow(pgno: number): PageMap;
}

export interface DirectSourceOptions {
  readonly pages: ReplicaPages<BlockingView>;
  readonly lent: LentViews<BlockingView>;
  readonly parseMoment: ParseMoment;
  /** Whether what SQLite is doing shall end. */
  readonly isCancelled: () => boolean;
}

/** How often a page that was fetched may have left a small cache before it was handed over. */
const fetchAttempts = 8;

export class DirectSource implements PageSource, Disposable {
  readonly #options: DirectSourceOptions;
  /** Moments that were asked for and have been opened since. */
  readonly #openedByName = new Map<string, BlockingView>();

  constructor(options: DirectSourceOptions) {
    this.#options = options;
  }

  /** Throws `Postponed` for what may go well a moment later: a store that does not answer, a file that was merged. */
  read(id: number, pgno: number, into: Uint8Array): void {
    const { pages, lent, isCancelled } = this.#options;
    const view = lent.get(id);
    for (let attempt = 1; attempt <= fetchAttempts; attempt++) {
      if (isCancelled()) throw new Error("cancelled");
      const frame = this.#fetch(view, pgno).locate(pgno);
      if (frame === undefined) {
        into.fill(0);
        return;
      }
      if (pages.cache.read(frame, into) !== "miss") return;
    }
    throw new Error(`Headwater bug: page ${pgno} was fetched and is not in the cache`);
  }

  touch(id: number, pgno: number): void {
    this.#options.lent.find(id)?.touch(pgno);
  }

  /** Throws `Postponed` the first time. */
  at(asked: AskedMoment): KnownView {
    const { pages, lent, parseMoment } = this.#options;
    const name = JSON.stringify([asked.at, asked.txid]);
    const view = this.#openedByName.get(name);
    if (view === undefined) {
      const target = parseMoment(asked);
      throw new Postponed(async (waiting) => {
        this.#openedByName.set(name, await pages.at(target, waiting));
      });
    }
    this.#openedByName.delete(name);
    const { pageSize, commit, generation } = view.map;
    return { id: lent.lend(view), pageSize, commit, generation };
  }

  /** Lets go of moments that were opened and then not asked for again. */
  [Symbol.dispose](): void {
    for (const view of this.#openedByName.values()) view[Symbol.dispose]();
    this.#openedByName.clear();
  }

  #fetch(view: BlockingView, pgno: number): PageMap {
    try {
      return view.fetchNow(pgno);
    } catch (error) {
      const mayGoWell =
        error instanceof HeadwaterError &&
        (error.recovery === "retry" || error.code === "store/changed");
      if (!mayGoWell) throw error;
      throw new Postponed(async (waiting) => void (await view.fetch(pgno, waiting)), error);
    }
  }
}
