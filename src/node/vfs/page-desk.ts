// The caller's side of the questions that SQLite's thread asks while it sleeps: pages and moments.
import { MessageChannel } from "node:worker_threads";
import { assert, must } from "../../core/base/assert.ts";
import { throwIfAborted } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { PageMap } from "../../core/view/page-map.ts";
import type { ViewTarget } from "../../core/view/replica-views.ts";
import type { OpenRequest } from "../../core/vfs/sqlite-wasm-vfs.ts";
import type { PinnedView, ReplicaPages } from "./replica-pages.ts";
import { answers, controlWords, mailboxSizeBytes } from "./protocol.ts";
import type { Message, NumberedView, Reply, ThreadData } from "./protocol.ts";

/** How often a page that was fetched may have left a small cache before it was handed over. */
const fetchAttempts = 8;

/** What a moment in a file name means. Throws `usage/invalid`. */
export type ParseMoment = (asked: Pick<OpenRequest, "at" | "txid">) => ViewTarget;

/** A view that SQLite's thread has, and the map it was given. */
interface LentView {
  readonly view: PinnedView;
  map: PageMap;
}

/** Answers questions; one is asked at a time. */
export class PageDesk implements Disposable {
  readonly #pages: ReplicaPages;
  readonly #parseMoment: ParseMoment;
  readonly #control = new SharedArrayBuffer(4 * Object.keys(controlWords).length);
  readonly #words = new Int32Array(this.#control);
  readonly #mailbox = new SharedArrayBuffer(mailboxSizeBytes);
  readonly #channel = new MessageChannel();
  readonly #lentById = new Map<number, LentView>();
  #lastId = 0;
  #failure: unknown;
  #snapshotId: number | undefined;
  #newestId: number;
  /** The newest state that SQLite's thread knows. */
  #toldId: number;

  constructor(pages: ReplicaPages, parseMoment: ParseMoment) {
    this.#pages = pages;
    this.#parseMoment = parseMoment;
    this.#newestId = this.#lend(pages.newest());
    this.#toldId = this.#newestId;
  }

  /** The newest state that is known, which SQLite's thread is told of with its next request. */
  get newest(): PageMap {
    if (this.#lent(this.#newestId).map.txid !== this.#pages.txid) {
      const before = this.#newestId;
      this.#newestId = this.#lend(this.#pages.newest());
      if (before !== this.#toldId) this.#takeBack(before);
    }
    return this.#lent(this.#newestId).map;
  }

  /** What SQLite's thread is started with; `views` is to be transferred. */
  threadData(name: string): ThreadData {
    return {
      name,
      control: this.#control,
      mailbox: this.#mailbox,
      cache: this.#pages.cache.share(),
      newest: this.#numbered(this.#newestId),
      views: this.#channel.port2,
    };
  }

  /** Gives `send` a state that is newer than the one that SQLite's thread knows; from then on it knows it, unless `send` throws. */
  tellNewest(send: (newest: NumberedView | undefined) => void): void {
    const { txid } = this.newest;
    const isNews = txid !== this.#lent(this.#toldId).map.txid;
    send(isNews ? this.#numbered(this.#newestId) : undefined);
    if (isNews) this.#toldId = this.#newestId;
  }

  /** From now on SQLite is to go on, or to end what it is doing. */
  set isCancelled(isCancelled: boolean) {
    Atomics.store(this.#words, controlWords.cancelled, isCancelled ? 1 : 0);
  }

  /** Why the newest question could not be answered. Asking takes it away. */
  takeFailure(): unknown {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** The state that the next query sees: the one that is held, or the newest. */
  get current(): PageMap {
    return this.#snapshotId === undefined ? this.newest : this.#lent(this.#snapshotId).map;
  }

  /** Lets go of the views that are not in use any more. */
  settle({ views, snapshot }: Pick<Reply, "views" | "snapshot">): void {
    this.#snapshotId = snapshot;
    const isKept = new Set([...views, this.#newestId]);
    for (const id of this.#lentById.keys()) if (!isKept.has(id)) this.#takeBack(id);
  }

  /** Never throws: SQLite's thread is woken, whatever happens. */
  async answer(message: Exclude<Message, { kind: "reply" }>, waiting: Waiting): Promise<void> {
    if (message.kind === "touch") {
      this.#lentById.get(message.view)?.view.touch(message.pgno);
      return;
    }
    try {
      throwIfAborted(waiting);
      this.#wake(
        message.kind === "page"
          ? await this.#givePage(message.view, message.pgno, waiting)
          : await this.#giveMoment(message, waiting),
      );
    } catch (error) {
      this.#failure = error;
      this.#wake(answers.failed);
    }
  }

  [Symbol.dispose](): void {
    this.#channel.port1.close();
    for (const { view } of this.#lentById.values()) view[Symbol.dispose]();
    this.#lentById.clear();
  }

  async #givePage(id: number, pgno: number, waiting: Waiting): Promise<number> {
    const lent = this.#lent(id);
    for (let attempt = 1; attempt <= fetchAttempts; attempt++) {
      const map = await lent.view.fetch(pgno, waiting);
      if (!this.#copyPage(lent.view, map, pgno)) continue;
      if (map === lent.map) return answers.given;
      lent.map = map;
      this.#channel.port1.postMessage(this.#numbered(id));
      return answers.moved;
    }
    throw new Error(`Headwater bug: page ${pgno} was fetched and is not in the cache`);
  }

  #copyPage(view: PinnedView, map: PageMap, pgno: number): boolean {
    const into = new Uint8Array(this.#mailbox, 0, map.pageSize);
    const frame = map.locate(pgno);
    if (frame === undefined) {
      into.fill(0);
      return true;
    }
    const found = this.#pages.cache.read(frame, into);
    // This is the read that the mark was for: SQLite's thread gets the page from the mailbox.
    if (found === "touch") view.touch(pgno);
    return found !== "miss";
  }

  async #giveMoment(asked: Pick<OpenRequest, "at" | "txid">, waiting: Waiting): Promise<number> {
    const view = await this.#pages.at(this.#parseMoment(asked), waiting);
    this.#channel.port1.postMessage(this.#numbered(this.#lend(view)));
    return answers.given;
  }

  #lend(view: PinnedView): number {
    const id = ++this.#lastId;
    this.#lentById.set(id, { view, map: view.map });
    return id;
  }

  #takeBack(id: number): void {
    const { view } = this.#lent(id);
    this.#lentById.delete(id);
    view[Symbol.dispose]();
  }

  #lent(id: number): LentView {
    return must(this.#lentById.get(id), `view ${id}`);
  }

  #numbered(id: number): NumberedView {
    return { id, map: this.#lent(id).map.share() };
  }

  #wake(answer: number): void {
    assert(answer !== answers.none, "SQLite's thread is woken without an answer");
    Atomics.store(this.#words, controlWords.answer, answer);
    Atomics.notify(this.#words, controlWords.answer);
  }
}
