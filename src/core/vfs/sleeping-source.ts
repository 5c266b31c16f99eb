// Pages for SQLite's thread from the caller's thread, for which it sleeps on a word of shared memory. It hears no message
// meanwhile: answers are words and the bytes of a page.
import { answers, controlWords } from "./protocol.ts";
import type { AskedMoment, Question, ThreadData } from "./protocol.ts";
import type { KnownView, PageSource } from "./thread-views.ts";

/** The caller's thread could not give what was asked for, and knows why. */
export class PageFailure extends Error {
  override readonly name = "PageFailure";
}

export class SleepingSource implements PageSource {
  readonly #control: Int32Array;
  readonly #mailbox: Uint8Array;
  readonly #post: (question: Question) => void;

  constructor(
    { control, mailbox }: Pick<ThreadData, "control" | "mailbox">,
    post: (question: Question) => void,
  ) {
    this.#control = new Int32Array(control);
    this.#mailbox = new Uint8Array(mailbox);
    this.#post = post;
  }

  /** Whether what SQLite is doing shall end. */
  get isCancelled(): boolean {
    return this.#word(controlWords.cancelled) === 1;
  }

  /** Throws `PageFailure`. */
  read(view: number, pgno: number, into: Uint8Array): void {
    this.#ask({ kind: "page", view, pgno });
    into.set(this.#mailbox.subarray(0, into.length));
  }

  touch(view: number, pgno: number): void {
    this.#post({ kind: "touch", view, pgno });
  }

  /** Throws `PageFailure`. */
  at({ at, txid }: AskedMoment): KnownView {
    this.#ask({ kind: "moment", at, txid });
    return {
      id: this.#word(controlWords.viewId),
      pageSize: this.#word(controlWords.pageSize),
      commit: this.#word(controlWords.commit) >>> 0,
      generation: this.#word(controlWords.generation) >>> 0,
    };
  }

  #ask(question: Question): void {
    if (this.isCancelled) throw new PageFailure("cancelled");
    Atomics.store(this.#control, controlWords.answer, answers.none);
    this.#post(question);
    // Woken is not answered: what wakes it may have been meant for the question before, whose answer was seen without.
    while (this.#word(controlWords.answer) === answers.none) {
      Atomics.wait(this.#control, controlWords.answer, answers.none);
    }
    if (this.#word(controlWords.answer) === answers.failed) {
      throw new PageFailure("the caller's thread has the reason");
    }
  }

  #word(word: number): number {
    return Atomics.load(this.#control, word);
  }
}
