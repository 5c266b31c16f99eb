// Requests and replies handed over in shared memory, which takes a fraction of the time of two messages. After a reply SQLite's
// thread listens for a moment before it goes back to its messages; a caller that finds it listening writes its request and
// stands still for the reply, for a fraction of a millisecond at most: what takes longer, a page that has to come, and
// whatever is large goes by messages as ever.
//
// One word says whose turn it is, and whose the bytes are:
//
//     listening --caller: request--> asked --thread: reply--> direct, listening
//     asked --caller, who has waited enough; thread, which needs a page--> left
//     anything else --thread: reply as a message--> posted, listening
//     listening --thread, after a moment; caller, who has a message--> not listening
//
// That the thread has stopped to listen does not tell where its reply is: a caller may look at the word much later.
import { readReply, readRequest, writeReply, writeRequest } from "./direct-messages.ts";
import type { Reply, SentRequest } from "./protocol.ts";
import { ValueReader, ValueWriter } from "./value-codec.ts";

/** Without `listening` the thread is at its messages after `posted` and `direct`, and at work after the others. */
const states = { posted: 0, direct: 2, asked: 4, left: 6 } as const;
/** Added to where the last reply is. */
const listening = 1;

/** `sleepers`: how many sides sleep, or are about to: to wake nobody takes as long as a short lookup. */
const words = { turn: 0, sleepers: 1 } as const;

/** What both threads share. */
export interface SharedHandOver {
  readonly words: SharedArrayBuffer;
  readonly bytes: SharedArrayBuffer;
}

export interface HandOverLimits {
  /** How long either side looks at the word before it sleeps: to be woken takes longer than a lookup. */
  readonly spinMs: number;
  /** How long the caller stands still. */
  readonly callerMs: number;
  /** How long SQLite's thread listens. */
  readonly listenMs: number;
  /** How long a caller that asks again and again keeps its event loop from everything else. */
  readonly turnMs: number;
}

export interface HandOverOptions {
  /** Milliseconds with fractions, from any moment on. */
  readonly nowMs: () => number;
  readonly limits?: HandOverLimits;
}

export const handOverDefaults: HandOverLimits = Object.freeze({
  spinMs: 0.05,
  callerMs: 0.2,
  listenMs: 10,
  turnMs: 4,
});

/** The rows of some lookups. To a scan a message more or less is nothing. */
const messageBytes = 64 * 1024;

/** Looks at the word between two looks at the clock. */
const looksPerTime = 50;
/** Waits without looking after so many times that to look was in vain, as on a machine that has no core for both. */
const maxSkips = 256;

export function createHandOver(): SharedHandOver {
  return {
    words: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(words).length),
    bytes: new SharedArrayBuffer(messageBytes),
  };
}

/** The caller's side. For threads that may stand still, so not for a page of a browser. */
export class CallerHandOver {
  readonly #word: TurnWord;
  readonly #writer: ValueWriter;
  readonly #reader: ValueReader;
  readonly #limits: HandOverLimits;
  readonly #nowMs: () => number;
  /** Since when the event loop has had no turn, as far as is known. */
  #sinceMs = 0;

  constructor(
    { words: shared, bytes }: SharedHandOver,
    { nowMs, limits = handOverDefaults }: HandOverOptions,
  ) {
    this.#word = new TurnWord(shared, { nowMs, limits });
    this.#writer = new ValueWriter(new Uint8Array(bytes));
    this.#reader = new ValueReader(new Uint8Array(bytes));
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  /** The reply; "sent": it comes as a message; "unsent": so must the request, to which the thread listens then. */
  ask(request: SentRequest): Reply | "sent" | "unsent" {
    if (!this.#send(request)) {
      this.#sinceMs = this.#nowMs();
      return "unsent";
    }
    this.#word.waitWhile(states.asked, this.#limits.callerMs);
    this.#word.move(states.asked, states.left);
    if ((this.#word.state & ~listening) === states.direct) return readReply(this.#reader);
    this.#sinceMs = this.#nowMs();
    return "sent";
  }

  #send(request: SentRequest): boolean {
    const { state } = this.#word;
    if ((state & listening) === 0) return false;
    const isDirect =
      this.#nowMs() - this.#sinceMs < this.#limits.turnMs && writeRequest(this.#writer, request);
    return this.#word.move(state, isDirect ? states.asked : state & ~listening) && isDirect;
  }
}

/** The side of SQLite's thread. */
export class ThreadHandOver {
  readonly #word: TurnWord;
  readonly #writer: ValueWriter;
  readonly #reader: ValueReader;
  readonly #limits: HandOverLimits;

  constructor(
    { words: shared, bytes }: SharedHandOver,
    { nowMs, limits = handOverDefaults }: HandOverOptions,
  ) {
    this.#word = new TurnWord(shared, { nowMs, limits });
    this.#writer = new ValueWriter(new Uint8Array(bytes));
    this.#reader = new ValueReader(new Uint8Array(bytes));
    this.#limits = limits;
  }

  /** To be called before a question to the caller, who must not stand still then. */
  leave(): void {
    this.#word.move(states.asked, states.left);
  }

  /** Replies to the newest request, however it came. */
  reply(reply: Reply, post: () => void): void {
    const isDirect =
      this.#word.state === states.asked &&
      writeReply(this.#writer, reply) &&
      this.#word.move(states.asked, states.direct | listening);
    if (isDirect) return;
    // Before the message, to which the answer can be the next request.
    this.#word.set(states.posted | listening);
    post();
  }

  /** Waits for the next request after a reply. `undefined`: look for messages. */
  listen(): SentRequest | undefined {
    const { state } = this.#word;
    if ((state & listening) !== 0) {
      this.#word.waitWhile(state, this.#limits.listenMs);
      this.#word.move(state, state & ~listening);
    }
    // It may have been left before it was read.
    const isAsked = this.#word.state === states.asked || this.#word.state === states.left;
    return isAsked ? readRequest(this.#reader) : undefined;
  }
}

class TurnWord {
  readonly #words: Int32Array;
  readonly #nowMs: () => number;
  readonly #spinMs: number;
  /** Waits that go without looking: after each failure twice as many. */
  #skips = 1;
  #skipsLeft = 0;

  constructor(shared: SharedArrayBuffer, { nowMs, limits }: Required<HandOverOptions>) {
    this.#words = new Int32Array(shared);
    this.#nowMs = nowMs;
    this.#spinMs = limits.spinMs;
  }

  get state(): number {
    return Atomics.load(this.#words, words.turn);
  }

  /** Wakes the other side. */
  set(state: number): void {
    Atomics.store(this.#words, words.turn, state);
    this.#wake();
  }

  /** The same, if the state is `from`. */
  move(from: number, to: number): boolean {
    if (Atomics.compareExchange(this.#words, words.turn, from, to) !== from) return false;
    this.#wake();
    return true;
  }

  waitWhile(state: number, ms: number): void {
    if (this.#isSeenToChange(state)) return;
    // Whoever changes the word from here on sees it, and whoever did so before keeps it from sleeping.
    Atomics.add(this.#words, words.sleepers, 1);
    Atomics.wait(this.#words, words.turn, state, ms);
    Atomics.sub(this.#words, words.sleepers, 1);
  }

  #wake(): void {
    if (Atomics.load(this.#words, words.sleepers) > 0) Atomics.notify(this.#words, words.turn);
  }

  #isSeenToChange(state: number): boolean {
    if (this.#skipsLeft > 0) {
      this.#skipsLeft--;
      return false;
    }
    const endMs = this.#nowMs() + this.#spinMs;
    do {
      for (let look = 0; look < looksPerTime; look++) {
        if (this.state === state) continue;
        this.#skips = 1;
        return true;
      }
    } while (this.#nowMs() < endMs);
    this.#skipsLeft = this.#skips;
    this.#skips = Math.min(maxSkips, 2 * this.#skips);
    return false;
  }
}
