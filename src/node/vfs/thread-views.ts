// Pages for SQLite's thread: out of the shared cache, or from the caller's thread, for which it sleeps.
import { HeadwaterError } from "../../core/base/errors.ts";
import { FrameCache } from "../../core/view/frame-cache.ts";
import { PageMap } from "../../core/view/page-map.ts";
import { PageReader } from "../../core/vfs/page-reader.ts";
import type { DatabaseView } from "../../core/vfs/page-reader.ts";
import type { OpenRequest } from "../../core/vfs/sqlite-wasm-vfs.ts";
import { answers, controlWords } from "./protocol.ts";
import type { Message, NumberedView, Reply, ThreadData } from "./protocol.ts";

/** The caller's thread could not give what was asked for, and knows why. */
export class PageFailure extends Error {
  override readonly name = "PageFailure";
}

interface ThreadView extends DatabaseView {
  readonly id: number;
  /** Where its pages lie: another place once files were merged. */
  map: PageMap;
}

export interface ThreadViewsOptions extends Omit<ThreadData, "control" | "views"> {
  readonly control: Int32Array;
  readonly post: (message: Message) => void;
  /** The view that came with an answer. */
  readonly receiveView: () => NumberedView;
}

export class ThreadViews {
  readonly #options: ThreadViewsOptions;
  readonly #cache: FrameCache;
  readonly #mailbox: Uint8Array;
  /** With the view of those that always have the same one. */
  readonly #readers = new Map<PageReader<ThreadView>, ThreadView | undefined>();
  #newest: ThreadView;

  constructor(options: ThreadViewsOptions) {
    this.#options = options;
    this.#cache = FrameCache.fromShared(options.cache);
    this.#mailbox = new Uint8Array(options.mailbox);
    this.#newest = toView(options.newest);
  }

  /** Transactions that begin from now on see it. */
  setNewest(newest: NumberedView): void {
    this.#newest = toView(newest);
  }

  /** The reader of a file by its name in SQL: the replica as it is opened, or as it was at a moment. */
  open({ name, at, txid }: OpenRequest): PageReader {
    const { name: ownName, post, receiveView } = this.#options;
    if (name !== ownName) {
      throw new HeadwaterError(
        "query/sql",
        `There is no file ${JSON.stringify(name)} here. Attach the replica at another moment with 'file:${ownName}?at=1 hour ago' ` +
          `or 'file:${ownName}?txid=...', or ':memory:'.`,
        { data: { name } },
      );
    }
    const readPage = (view: ThreadView, pgno: number, into: Uint8Array): void =>
      this.#read(view, pgno, into);
    if (at === undefined && txid === undefined) {
      return this.#opened(new PageReader({ view: () => this.#following, readPage }));
    }
    this.#ask(() => post({ kind: "moment", at, txid }));
    const view = toView(receiveView());
    return this.#opened(new PageReader({ view: () => view, readPage }), view);
  }

  /** The views that may still be read from, `open` being the readers that SQLite has, and the one that is held. */
  inUse(open: Iterable<PageReader>): Pick<Reply, "views" | "snapshot"> {
    const isOpen = new Set(open);
    const ids = new Set([this.#newest.id]);
    let snapshot: number | undefined;
    for (const [reader, fixed] of this.#readers) {
      if (!isOpen.has(reader)) {
        this.#readers.delete(reader);
        continue;
      }
      const view = fixed ?? reader.pinned;
      if (view !== undefined) ids.add(view.id);
      if (fixed === undefined) snapshot ??= reader.pinned?.id;
    }
    return { views: [...ids], snapshot };
  }

  /** What a transaction gets that begins now: the newest state, or that which it has under another name already. */
  get #following(): ThreadView {
    for (const [{ pinned }, fixed] of this.#readers) {
      if (fixed === undefined && pinned !== undefined) return pinned;
    }
    return this.#newest;
  }

  #opened(reader: PageReader<ThreadView>, fixed?: ThreadView): PageReader {
    this.#readers.set(reader, fixed);
    return reader;
  }

  #read(view: ThreadView, pgno: number, into: Uint8Array): void {
    const frame = view.map.locate(pgno);
    if (frame === undefined) {
      into.fill(0);
      return;
    }
    const { post } = this.#options;
    const found = this.#cache.read(frame, into);
    if (found === "hit") return;
    if (found === "touch") {
      post({ kind: "touch", view: view.id, pgno });
      return;
    }
    const answer = this.#ask(() => post({ kind: "page", view: view.id, pgno }));
    if (answer === answers.moved) view.map = PageMap.fromShared(this.#options.receiveView().map);
    into.set(this.#mailbox.subarray(0, into.length));
  }

  /** Posts a question and sleeps until it is answered. Throws `PageFailure`. */
  #ask(post: () => void): number {
    const { control } = this.#options;
    if (Atomics.load(control, controlWords.cancelled) === 1) throw new PageFailure("cancelled");
    Atomics.store(control, controlWords.answer, answers.none);
    post();
    Atomics.wait(control, controlWords.answer, answers.none);
    const answer = Atomics.load(control, controlWords.answer);
    if (answer === answers.failed) throw new PageFailure("the caller's thread has the reason");
    return answer;
  }
}

function toView({ id, map: shared }: NumberedView): ThreadView {
  const map = PageMap.fromShared(shared);
  const { pageSize, commit, generation } = map;
  return { id, map, pageSize, commit, generation };
}
