// Which databases of a process are awake. One that has been quiet is put to rest: no connection, no timer, no request,
// nothing in memory but what its files were like. One sweep for all of them looks at the files of those at rest, because
// an event can come before the commit it announces, and asks those awake whether they have become quiet.
import { readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { mapConcurrent } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import { Slots } from "./slots.ts";
import type { Waiting } from "./waiting.ts";

/** A database at rest. */
export interface Sleeper {
  /** Upkeep is due then, wall clock, ms. */
  readonly dueAtMs: number | undefined;
  /** Looks at its files; wakes it if they are not what they were. Microseconds. */
  look(): void;
  wakeForUpkeep(): void;
}

/** A database with an engine. */
export interface Awake {
  /** Puts it to rest if nothing has happened for `quietMs`. Never rejects. */
  rest(quietMs: number): Promise<void>;
}

export interface HibernationOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** After so much quiet a database is put to rest, ms; 0 = never. */
  readonly hibernateAfterMs: number;
  /** Engines at the same time; default what the limit of open files allows. */
  readonly maxAwake?: number | undefined;
  /** How often everything is looked at, ms. Default 10 s. */
  readonly sweepMs?: number | undefined;
}

export const hibernateAfterDefaultMs = 30_000;

const defaultSweepMs = 10_000;
/** How often those awake are asked. Many that go to rest in one go would keep commits of the others waiting. */
const askMs = 500;
/** Quiet that is enough while others wait. */
const crowdedQuietMs = 3_000;
const crowdedLogMs = 60_000;

/** Files are looked at in slices, and commits captured in between. */
const looksPerTurn = 128;
const restsAtOnce = 8;
/** Engines that start at the same time: two cores, and each waits for the disk most of the time. */
const startsAtOnce = 8;
/** Databases that are woken for upkeep at the same time. */
const upkeepAtOnce = 8;
/** A start that waits for its database or its store does not keep others from starting for longer. */
const startHoldMs = 5_000;

/** Open files of an engine: two connections, our own descriptors, the lock, and what is staged or put. */
const filesPerEngine = 12;
const otherFiles = 128;
/** Without a limit that can be asked for. */
const fallbackMaxAwake = 500;
/** Each takes about half a megabyte. */
const mostAwake = 1_000;

export class Hibernation implements AsyncDisposable {
  readonly #options: HibernationOptions;
  readonly #sweepMs: number;
  readonly #awakePlaces: Slots;
  readonly #startSlots = new Slots(startsAtOnce);
  readonly #sleepers = new Set<Sleeper>();
  readonly #awake = new Set<Awake>();
  readonly #stop = new AbortController();
  #swept: Promise<void> | undefined;
  #upkeepWakes = 0;
  #crowdedLoggedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: HibernationOptions) {
    this.#options = options;
    this.#sweepMs = options.sweepMs ?? defaultSweepMs;
    this.#awakePlaces = new Slots(options.maxAwake ?? maxAwakeOf(openFilesLimit()));
  }

  /** Databases are put to rest here. */
  get isOn(): boolean {
    return this.#options.hibernateAfterMs > 0;
  }

  /** A place among those awake, to be kept as long as there is an engine. */
  takePlace(waiting: Waiting & { readonly isUrgent: boolean }): Promise<Disposable> {
    return this.#awakePlaces.take(waiting);
  }

  /** Runs a start when it has its turn. */
  async start<T>(
    work: () => Promise<T>,
    { signal, isUrgent }: Waiting & { readonly isUrgent: boolean },
  ): Promise<T> {
    using turn = await this.#startSlots.take({ isUrgent, signal });
    const ended = new AbortController();
    this.#options.clock
      .sleep(startHoldMs, { signal: ended.signal })
      .then(() => turn[Symbol.dispose]())
      .catch(() => undefined);
    try {
      return await work();
    } finally {
      ended.abort();
    }
  }

  /** Sweeps over a database at rest until it is disposed. */
  addSleeper(sleeper: Sleeper): Disposable {
    return this.#add(this.#sleepers, sleeper);
  }

  /** Asks a database that is awake now and then. */
  addAwake(awake: Awake): Disposable {
    return this.#add(this.#awake, awake);
  }

  /** A database is awake for upkeep alone until it is disposed. */
  noteUpkeepWake(): Disposable {
    this.#upkeepWakes++;
    const stack = new DisposableStack();
    stack.defer(() => this.#upkeepWakes--);
    return stack;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#swept;
  }

  #add<T>(set: Set<T>, one: T): Disposable {
    set.add(one);
    this.#swept ??= this.#run();
    return { [Symbol.dispose]: () => set.delete(one) };
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    let lookedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      const waitMs = this.#awake.size > 0 ? Math.min(askMs, this.#sweepMs) : this.#sweepMs;
      await clock.sleep(waitMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      if (clock.monotonicMs() - lookedAtMs >= this.#sweepMs) {
        await this.#look();
        lookedAtMs = clock.monotonicMs();
      }
      if (this.#isCrowded) this.#logCrowd();
      if (this.isOn) await this.#rest();
      this.#wakeForUpkeep(clock.nowMs());
    }
  }

  get #isCrowded(): boolean {
    return this.#awakePlaces.waiting > 0;
  }

  async #look(): Promise<void> {
    let looks = 0;
    for (const sleeper of this.#sleepers) {
      if (this.#stop.signal.aborted) return;
      sleeper.look();
      if (++looks % looksPerTurn === 0) await nextTurn();
    }
  }

  async #rest(): Promise<void> {
    const { hibernateAfterMs } = this.#options;
    const quietMs = this.#isCrowded ? Math.min(crowdedQuietMs, hibernateAfterMs) : hibernateAfterMs;
    await mapConcurrent([...this.#awake], restsAtOnce, async (awake) => {
      if (!this.#stop.signal.aborted && this.#awake.has(awake)) await awake.rest(quietMs);
    });
  }

  #wakeForUpkeep(nowMs: number): void {
    for (const sleeper of this.#sleepers) {
      if (this.#upkeepWakes >= upkeepAtOnce) return;
      const { dueAtMs } = sleeper;
      if (dueAtMs !== undefined && dueAtMs <= nowMs) sleeper.wakeForUpkeep();
    }
  }

  #logCrowd(): void {
    const { clock, logger } = this.#options;
    if (clock.monotonicMs() - this.#crowdedLoggedAtMs < crowdedLogMs) return;
    this.#crowdedLoggedAtMs = clock.monotonicMs();
    logger.log("warn", "fleet.crowded", {
      waiting: this.#awakePlaces.waiting,
      atOnce: this.#awakePlaces.limit,
      hint: "databases wait until others are quiet; a higher limit of open files (ulimit -n) allows more at once",
    });
  }
}

function maxAwakeOf(openFiles: number | undefined): number {
  if (openFiles === undefined) return fallbackMaxAwake;
  return Math.max(1, Math.min(mostAwake, Math.floor((openFiles - otherFiles) / filesPerEngine)));
}

/** The limit of this process, which Node has raised as far as it may. */
function openFilesLimit(): number | undefined {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const soft = /^Max open files\s+(?<soft>\d+)/mu.exec(limits)?.groups?.["soft"];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
