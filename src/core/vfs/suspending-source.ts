// Pages for a SQLite that can be suspended while it waits: what is missing is named, fetched, and asked for again.
import type { LentViews } from "./lent-views.ts";
import type { ParseMoment } from "./page-desk.ts";
import { Postponed } from "./postponed.ts";
import type { AskedMoment } from "./protocol.ts";
import type { PinnedView, ReplicaPages } from "./replica-pages.ts";
import type { KnownView, PageSource } from "./thread-views.ts";

export interface SuspendingSourceOptions {
  readonly pages: ReplicaPages;
  readonly lent: LentViews;
  readonly parseMoment: ParseMoment;
}

/** Each method throws `Postponed` for what has to be waited for; once its work is done it is there. */
export class SuspendingSource implements PageSource {
  readonly #options: SuspendingSourceOptions;
  /** The moment that was waited for. */
  #opened: PinnedView | undefined;

  constructor(options: SuspendingSourceOptions) {
    this.#options = options;
  }

  read(id: number, pgno: number, into: Uint8Array): void {
    const { pages, lent } = this.#options;
    const view = lent.get(id);
    const frame = view.map.locate(pgno);
    if (frame === undefined) {
      into.fill(0);
      return;
    }
    const found = pages.cache.read(frame, into);
    if (found === "miss") {
      throw new Postponed(async (waiting) => void (await view.fetch(pgno, waiting)));
    }
    if (found === "touch") view.touch(pgno);
  }

  touch(id: number, pgno: number): void {
    this.#options.lent.find(id)?.touch(pgno);
  }

  at(asked: AskedMoment): KnownView {
    const { pages, lent, parseMoment } = this.#options;
    const view = this.#opened;
    this.#opened = undefined;
    if (view === undefined) {
      const target = parseMoment(asked);
      throw new Postponed(async (waiting) => {
        this.#opened = await pages.at(target, waiting);
      });
    }
    const { pageSize, commit, generation } = view.map;
    return { id: lent.lend(view), pageSize, commit, generation };
  }
}
