// Moving R's guard, make before break: W guards while R lets go and takes a new one.
import type { CheckpointReport, Guard } from "./guard.ts";
import type { Tracker } from "./tracker.ts";

/** Bytes of images that may be read into memory to let go of the WAL. */
export const maxTailBytes = 8 << 20;

/** `kept`: the guard is where it was. `busy`: it moved, but somebody else was checkpointing. */
export type Move = "moved" | "busy" | "kept";

/** Hand-overs of one attachment. */
export class HandOver {
  readonly #guard: Guard;
  readonly #tracker: Tracker;
  readonly #isBatchOut: () => boolean;

  /** `isBatchOut` tells whether a batch refers to frames. */
  constructor(guard: Guard, tracker: Tracker, isBatchOut: () => boolean) {
    this.#guard = guard;
    this.#tracker = tracker;
    this.#isBatchOut = isBatchOut;
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
      if (this.#isBatchOut() || this.#tracker.unreadBytes > maxTailBytes) return false;
      this.#tracker.materialise();
    }
    this.#guard.undouble();
    return true;
  }
}
