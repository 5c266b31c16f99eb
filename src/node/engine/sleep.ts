// One database of a fleet that needs no engine: at rest, or not there yet. What is kept of it, and what wakes it.
import { statSync } from "node:fs";
import { watchDatabase } from "../capture/directory-watch.ts";
import { isSameRest, readRestFacts } from "../capture/rest.ts";
import type { Hibernation, Sleeper } from "./hibernation.ts";
import type { RestRecord } from "./rest-record.ts";

/** `change`: its files are not what they were, or it is there. `upkeep`: compaction, retention or verification is due. */
export type WakeReason = "change" | "upkeep";

/** From its making until something wakes it, or it is disposed. */
export class Sleep implements Sleeper, Disposable {
  /** `undefined`: there is no database. */
  readonly record: RestRecord | undefined;
  readonly #path: string;
  readonly #stack = new DisposableStack();
  readonly #woken = Promise.withResolvers<WakeReason>();
  readonly #onWoken: (why: WakeReason) => void;

  /** `path` has its links followed; `onWoken` is called at once when it is woken. */
  constructor(
    path: string,
    record: RestRecord | undefined,
    hibernation: Hibernation,
    onWoken: (why: WakeReason) => void,
  ) {
    this.#path = path;
    this.record = record;
    this.#onWoken = onWoken;
    this.#stack.use(hibernation.addSleeper(this));
    // The event can come before the commit, but not before the file has changed.
    this.#stack.use(watchDatabase(path, () => this.look()));
  }

  get dueAtMs(): number | undefined {
    return this.record?.dueAtMs;
  }

  /** Resolves when something wakes it. */
  get woken(): Promise<WakeReason> {
    return this.#woken.promise;
  }

  /** True if there is work for an engine, or if its files cannot be looked at: the engine will say why. */
  hasChanged(): boolean {
    return hasChangedSince(this.record, this.#path);
  }

  look(): void {
    if (this.hasChanged()) this.wake("change");
  }

  wakeForUpkeep(): void {
    this.wake("upkeep");
  }

  wake(why: WakeReason): void {
    if (this.#stack.disposed) return;
    this[Symbol.dispose]();
    this.#onWoken(why);
    this.#woken.resolve(why);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** As `Sleep.hasChanged`, for a database that nothing watches. */
export function hasChangedSince(record: RestRecord | undefined, path: string): boolean {
  try {
    if (record !== undefined) return !isSameRest(record.facts, readRestFacts(path));
    // An empty file is no database yet.
    return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
  } catch {
    return true;
  }
}
