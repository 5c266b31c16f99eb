// A number of places for what may go on at the same time. Who is in a hurry goes before the others.
import { must } from "../../core/base/assert.ts";
import type { Waiting } from "./waiting.ts";

export class Slots {
  readonly #limit: number;
  readonly #hurried: (() => void)[] = [];
  readonly #others: (() => void)[] = [];
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  /** How many wait for a place. */
  get waiting(): number {
    return this.#hurried.length + this.#others.length;
  }

  /** Takes a place; dispose the result to give it back. Rejects with the signal's reason when aborted first. */
  async take({ isUrgent, signal }: Waiting & { readonly isUrgent: boolean }): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#taken < this.#limit) this.#taken++;
    else await this.#turn(isUrgent ? this.#hurried : this.#others, signal);
    let isGiven = false;
    return {
      [Symbol.dispose]: () => {
        if (isGiven) return;
        isGiven = true;
        this.#give();
      },
    };
  }

  /** The place of whoever leaves goes to the next one without becoming free. */
  #give(): void {
    const next = this.#hurried.shift() ?? this.#others.shift();
    if (next === undefined) this.#taken--;
    else next();
  }

  async #turn(queue: (() => void)[], signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    queue.push(resolve);
    const onAbort = (): void => {
      const at = queue.indexOf(resolve);
      // It has just been given a place, which `take` returns.
      if (at < 0) return;
      queue.splice(at, 1);
      reject(must(signal.reason, "the reason of the abort"));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}
