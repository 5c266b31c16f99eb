// What cannot be done while SQLite stands in the middle of a statement and no other thread is there to do it.
import type { Waiting } from "../base/async.ts";

/** Interrupts the statement: it is run again once `work` is done. */
export class Postponed extends Error {
  override readonly name = "Postponed";
  readonly work: (waiting: Waiting) => Promise<void>;

  /** `cause`: what to tell where the statement cannot be run again. */
  constructor(work: (waiting: Waiting) => Promise<void>, cause?: unknown) {
    super("this has to wait until SQLite stands still", { cause });
    this.work = work;
  }
}
