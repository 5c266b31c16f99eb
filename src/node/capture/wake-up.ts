// Tells the engine at once when somebody commits, at no cost while nobody does. The directory is watched; but the event
// comes with the write to the WAL, before the commit is published in the wal-index, and publishing makes no event. So
// after an event we look again for a while, and once a second anyway.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../core/base/clock.ts";
import { watchDatabase, type DatabaseWatch } from "./directory-watch.ts";

export interface WakeUpOptions {
  /** Of the database; it need not exist yet. */
  readonly path: string;
  readonly clock: Clock;
  /** Looks for something new, cheaply; `true` if there was. Must not throw. */
  readonly check: () => boolean;
  /** How often to look without an event. Default 1 s. */
  readonly safetyPollMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Looks in the turns of the event loop right after an event: most commits are visible by then. */
const immediateChecks = 3;
const followStepMs = 1;
/** How long a commit usually takes from its first write to being visible, disk sync included. */
const followMs = 60;
/** Once something was seen, the next commit makes its own event, unless the system merged the two. */
const seenStepMs = 4;
/** After that, or once something was seen, the steps double up to this: for slow disks, and for events that coalesced. */
const lastStepMs = 256;
/** So many looks that saw something within so long: commits come all the time. */
const busyLooks = 8;
const busyWithinMs = 100;
const busyStepMs = 10;
/** After so many looks that saw nothing they do no longer. */
const quietLooks = 5;
const defaultSafetyPollMs = 1000;

/** Starts watching. Dispose it to stop; that waits until no check runs any more. */
export function startWakeUp(options: WakeUpOptions): AsyncDisposable {
  return new WakeUp(options);
}

class WakeUp implements AsyncDisposable {
  readonly #options: WakeUpOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #done: Promise<unknown>;
  #watch: DatabaseWatch | undefined;
  #eventAtMs = -Infinity;
  #isBusy = false;
  #wake: (() => void) | undefined;

  constructor(options: WakeUpOptions) {
    this.#options = options;
    this.#signal =
      options.signal === undefined
        ? this.#stop.signal
        : AbortSignal.any([options.signal, this.#stop.signal]);
    this.#signal.addEventListener("abort", () => this.#wake?.(), { once: true });
    this.#watchDirectory();
    this.#done = Promise.all([this.#follow(), this.#poll()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
    this.#unwatch();
  }

  /** Waits for events and looks until what they announced must be visible. */
  async #follow(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#nextEvent();
      await this.#lookAfterEvent();
    }
  }

  async #lookAfterEvent(): Promise<void> {
    const { clock } = this.#options;
    const seenAtMs: number[] = [];
    const check = (): boolean => {
      const hasSeen = this.#options.check();
      if (hasSeen && seenAtMs.push(clock.monotonicMs()) > busyLooks) seenAtMs.shift();
      return hasSeen;
    };
    let followedMs = -Infinity;
    let stepMs = followStepMs;
    while (!this.#signal.aborted) {
      const isNewEvent = this.#eventAtMs > followedMs;
      if (isNewEvent) {
        followedMs = this.#eventAtMs;
        stepMs = followStepMs;
        for (let i = 0; i < immediateChecks; i++) {
          if (check()) {
            stepMs = seenStepMs;
            break;
          }
          await nextTurn();
        }
      }
      if (stepMs > followStepMs) await this.#restUnlessEvent(stepMs);
      else await this.#rest(stepMs);
      if (this.#signal.aborted) return;
      const hasSeen = check();
      const [firstMs = -Infinity] = seenAtMs;
      if (seenAtMs.length === busyLooks && clock.monotonicMs() - firstMs < busyWithinMs) {
        await this.#lookWhileBusy();
        seenAtMs.length = 0;
        continue;
      }
      const isFollowing = clock.monotonicMs() - followedMs < followMs;
      if (hasSeen) stepMs = Math.max(stepMs * 2, seenStepMs);
      else if (stepMs > followStepMs || !isFollowing) stepMs *= 2;
      if (stepMs > lastStepMs && this.#eventAtMs === followedMs) return;
    }
  }

  /** While commits come all the time, looking now and then costs less than an event for each write of each of them. */
  async #lookWhileBusy(): Promise<void> {
    this.#isBusy = true;
    this.#unwatch();
    for (let quiet = 0; quiet < quietLooks && !this.#signal.aborted;) {
      await this.#rest(busyStepMs);
      quiet = this.#options.check() ? 0 : quiet + 1;
    }
    this.#isBusy = false;
    this.#watchDirectory();
    // What came just before the watch is followed like an event.
    this.#eventAtMs = this.#options.clock.monotonicMs();
  }

  /** Looks now and then whatever happens: events can be lost, and a directory can be replaced. */
  async #poll(): Promise<void> {
    for (;;) {
      await this.#rest(this.#options.safetyPollMs ?? defaultSafetyPollMs);
      if (this.#signal.aborted) return;
      if (!this.#isBusy) this.#watchDirectory();
      this.#options.check();
    }
  }

  async #rest(ms: number, signal = this.#signal): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** The next commit is not kept waiting by what the one before still has to be looked after. */
  async #restUnlessEvent(ms: number): Promise<void> {
    const event = new AbortController();
    this.#wake = () => event.abort();
    await this.#rest(ms, AbortSignal.any([this.#signal, event.signal]));
    this.#wake = undefined;
  }

  async #nextEvent(): Promise<void> {
    if (this.#signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
  }

  #onEvent(): void {
    this.#eventAtMs = this.#options.clock.monotonicMs();
    this.#wake?.();
  }

  /** Watches the directory, anew if it is another one than before. A missing one is tried again by the poll. */
  #watchDirectory(): void {
    if (this.#watch === undefined) {
      this.#watch = watchDatabase(this.#options.path, () => this.#onEvent());
    } else this.#watch.refresh();
  }

  #unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}
