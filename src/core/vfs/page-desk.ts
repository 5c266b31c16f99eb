// The caller's side of the questions that SQLite's thread asks while it sleeps: pages and moments.
import { assert } from "../base/assert.ts";
import { throwIfAborted } from "../base/async.ts";
import type { Waiting } from "../base/async.ts";
import type { PageMap } from "../view/page-map.ts";
import type { ViewTarget } from "../view/replica-views.ts";
import { LentViews } from "./lent-views.ts";
import type { PinnedView, ReplicaPages } from "./replica-pages.ts";
import { answers, controlWords, mailboxSizeBytes } from "./protocol.ts";
import type { AskedMoment, Question, ThreadData, ViewNews, ViewsInUse } from "./protocol.ts";

/** How often a page that was fetched may have left a small cache before it was handed over. */
const fetchAttempts = 8;

/** What a moment in a file name means. Throws `usage/invalid`. */
export type ParseMoment = (asked: AskedMoment) => ViewTarget;

/** Answers questions; one is asked at a time. */
export class PageDesk implements Disposable {
  readonly #pages: ReplicaPages;
  readonly #parseMoment: ParseMoment;
  readonly #control = new SharedArrayBuffer(4 * Object.keys(controlWords).length);
  readonly #words = new Int32Array(this.#control);
  readonly #mailbox = new SharedArrayBuffer(mailboxSizeBytes);
  readonly #lent: LentViews;
  #failure: unknown;

  constructor(pages: ReplicaPages, parseMoment: ParseMoment) {
    this.#pages = pages;
    this.#parseMoment = parseMoment;
    this.#lent = new LentViews(pages);
  }

  /** What SQLite's thread is started with. */
  threadData(name: string): ThreadData {
    return {
      name,
      control: this.#control,
      mailbox: this.#mailbox,
      cache: this.#pages.cache.share(),
    };
  }

  /** Gives `send` what SQLite's thread does not know of its views; from then on it knows it, unless `send` throws. */
  tellViews<T>(send: (news: ViewNews) => T): T {
    return this.#lent.tell(send);
  }

  /** From now on SQLite is to go on, or to end what it is doing. */
  set isCancelled(isCancelled: boolean) {
    this.#write(controlWords.cancelled, isCancelled ? 1 : 0);
  }

  /** Why the newest question could not be answered. Asking takes it away. */
  takeFailure(): unknown {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** The state that the next query sees: the one that is held, or the newest. */
  get current(): PageMap {
    return this.#lent.current;
  }

  /** Lets go of the views that are not in use any more. */
  settle(inUse: ViewsInUse): void {
    this.#lent.settle(inUse);
  }

  /** Never throws: SQLite's thread is woken, whatever happens. */
  async answer(question: Question, waiting: Waiting): Promise<void> {
    if (question.kind === "touch") {
      this.#lent.find(question.view)?.touch(question.pgno);
      return;
    }
    try {
      throwIfAborted(waiting);
      if (question.kind === "page") await this.#givePage(question.view, question.pgno, waiting);
      else await this.#giveMoment(question, waiting);
      this.#wake(answers.given);
    } catch (error) {
      this.#failure = error;
      this.#wake(answers.failed);
    }
  }

  [Symbol.dispose](): void {
    this.#lent[Symbol.dispose]();
  }

  async #givePage(id: number, pgno: number, waiting: Waiting): Promise<void> {
    const view = this.#lent.get(id);
    for (let attempt = 1; attempt <= fetchAttempts; attempt++) {
      const map = await view.fetch(pgno, waiting);
      if (this.#copyPage(view, map, pgno)) return;
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

  async #giveMoment(asked: AskedMoment, waiting: Waiting): Promise<void> {
    const view = await this.#pages.at(this.#parseMoment(asked), waiting);
    const { pageSize, commit, generation } = view.map;
    this.#write(controlWords.viewId, this.#lent.lend(view));
    this.#write(controlWords.pageSize, pageSize);
    this.#write(controlWords.commit, commit);
    this.#write(controlWords.generation, generation);
  }

  #write(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }

  #wake(answer: number): void {
    assert(answer !== answers.none, "SQLite's thread is woken without an answer");
    this.#write(controlWords.answer, answer);
    Atomics.notify(this.#words, controlWords.answer);
  }
}
