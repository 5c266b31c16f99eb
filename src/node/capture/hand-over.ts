// Moving R's guard, make before break: W guards while R lets go and takes a new one, or stays as R.
import type { PendingBatch } from "./batch.ts";
import type { CheckpointReport, Guard } from "./guard.ts";
import type { Tracker } from "./tracker.ts";

/** Bytes of images that may be read into memory to let go of the WAL. */
export const maxTailBytes = 8 << 20;

/**
 * So much may lie beyond the guard before it follows a writer. Whoever checkpoints next copies all of it at once, which may be
 * an application in the middle of a commit. Its automatic checkpoints copy as much by default.
 */
const followBytes = 4 << 20;

/** `kept`: the guard is where it was. `busy`: it moved, but somebody else was checkpointing. */
export type Move = "moved" | "busy" | "kept";

export interface HandOverOptions {
  readonly pageSize: number;
  readonly outstanding: () => Outstanding;
}

/** What refers to frames or to the database file. */
export interface Outstanding {
  readonly batch: PendingBatch | undefined;
  /** Nothing newer than an image may reach the database file. */
  readonly hasImage: boolean;
}

/** Hand-overs of one attachment. */
export class HandOver {
  readonly #guard: Guard;
  readonly #tracker: Tracker;
  readonly #pageSize: number;
  readonly #outstanding: () => Outstanding;

  constructor(guard: Guard, tracker: Tracker, { pageSize, outstanding }: HandOverOptions) {
    this.#guard = guard;
    this.#tracker = tracker;
    this.#pageSize = pageSize;
    this.#outstanding = outstanding;
  }

  /** Brings the guard to where writers notice it least. Called after each look at the WAL; `isComplete`: all was noted. */
  improve({ isComplete }: { readonly isComplete: boolean }): void {
    if (this.#guard.isDoubled) {
      this.finish();
      return;
    }
    const { batch, hasImage } = this.#outstanding();
    if (hasImage) return;
    const isInVain = batch === undefined && this.#isOnMarkZeroInVain;
    // What is pending must not grow beyond what one batch is to hold.
    const isFar = isComplete && this.#tracker.heldBackFrames * this.#pageSize >= followBytes;
    if (isInVain || (isFar && batch?.needsDatabaseFile !== true)) this.move({ checkpoint: false });
  }

  /**
   * Behind a guard on mark 0 each commit of an application with automatic checkpoints indexes the whole WAL before it is
   * refused, so the guard leaves it as soon as the new generation has frames.
   */
  get #isOnMarkZeroInVain(): boolean {
    const { mayRestart, tailFrames } = this.#tracker;
    return this.#guard.mayBeOnMarkZero && !mayRestart && tailFrames > 0;
  }

  /** Moves the guard to what is committed now, with a PASSIVE checkpoint in between if asked to. */
  move({ checkpoint }: { readonly checkpoint: boolean }): Move {
    if (!this.#guard.double()) return "kept";
    let report: CheckpointReport | undefined;
    try {
      // Without R, W's snapshot bounds what is backfilled, hence what can be reset. All of it must have been noted.
      if (this.#tracker.advance() !== "complete") {
        this.#guard.undouble();
        return "kept";
      }
    } catch (error) {
      this.#guard.undouble();
      throw error;
    }
    try {
      report = this.#guard.swap({ checkpoint });
    } finally {
      // A failed checkpoint leaves R on a new guard all the same.
      this.#tracker.guardTaken(this.#guard);
      this.finish();
    }
    return report?.isBusy ? "busy" : "moved";
  }

  /**
   * Lets W go once R alone protects everything that is not in memory. `false` if W has to stay for now: a batch or too
   * much that is pending still refers to frames that the next writer could overwrite.
   */
  finish(): boolean {
    if (!this.#guard.isDoubled) return true;
    if (this.#tracker.mayRestart && !this.#guard.isLost) {
      if (this.#outstanding().batch !== undefined || this.#tracker.unreadBytes > maxTailBytes)
        return false;
      this.#tracker.materialise();
    }
    this.#guard.undouble();
    return true;
  }
}
