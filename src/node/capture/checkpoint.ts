// Our checkpoint, in two phases that keep writers out for a moment only and never let the WAL be reset past what
// has been captured: bulk rounds behind a second guard while writers go on, then the tail under the write lock.
import type { Clock } from "../../core/base/clock.ts";
import type { CheckpointOptions, CheckpointOutcome } from "./capture-types.ts";
import type { DatabaseFiles } from "./database-files.ts";
import type { CheckpointReport, Guard } from "./guard.ts";
import { maxTailBytes, type HandOver } from "./hand-over.ts";
import type { Tracker } from "./tracker.ts";

/** Bulk rounds, and tries at the seal, before it is left to the next checkpoint. */
const maxRounds = 20;
/** Frames that may be left for the write lock to wait for. */
const maxTailFrames = 1000;
/** On a slow disk a fast writer leaves more in every round. Then a longer lock is better than a WAL without end. */
const patientRounds = 8;
const impatientTailFrames = 2000;
/** Frames that may be there once the lock is held: a fast writer goes on while we sync and wait for it. */
const lockedFactor = 4;
/** An application that checkpoints after its commits is at it much of the time, for a moment each. */
const busyRestMs = 10;
/** How long to try for the write lock. */
const lockBudgetMs = 1000;

/** What a checkpoint works on. */
export interface CheckpointParts {
  readonly files: DatabaseFiles;
  readonly guard: Guard;
  readonly tracker: Tracker;
  readonly clock: Clock;
  /** True while a batch or an image refers to frames. */
  readonly isReferenced: () => boolean;
  readonly handOver: HandOver;
}

/** Runs one checkpoint; `undefined` if a batch or an image stands in the way. */
export async function runCheckpoint(
  parts: CheckpointParts,
  options: CheckpointOptions,
): Promise<CheckpointOutcome | undefined> {
  const { files, tracker } = parts;
  for (let round = 0; round < maxRounds; round++) {
    options.signal?.throwIfAborted();
    await options.drain();
    if (parts.isReferenced() || !parts.handOver.finish()) return undefined;
    tracker.advance();
    const tailLimit = round < patientRounds ? maxTailFrames : impatientTailFrames;
    if (tracker.tailFrames > tailLimit) {
      const result = backfill(parts);
      if (result === "stuck") break;
      if (result === "busy") await parts.clock.sleep(busyRestMs, options);
      continue;
    }
    // Pay for the slow part of the checkpoint's own syncs before anybody waits for it.
    await files.sync();
    const outcome = await seal(parts, { ...options, tailLimit: lockedFactor * tailLimit });
    if (outcome === "busy") await parts.clock.sleep(busyRestMs, options);
    else if (outcome !== "too much") return outcome;
  }
  return partial(tracker);
}

/** One bulk round: everything committed so far goes into the database file, by us or by whom we find at it. */
function backfill({ handOver, tracker }: CheckpointParts): "done" | "busy" | "stuck" {
  const before = backfilledFrames(tracker);
  const move = handOver.move({ checkpoint: true });
  if (move === "kept") return "stuck";
  tracker.advance();
  if (move === "busy") return "busy";
  return backfilledFrames(tracker) > before ? "done" : "stuck";
}

/** The tail, under the write lock. */
async function seal(
  parts: CheckpointParts,
  options: CheckpointOptions & { readonly tailLimit: number },
): Promise<CheckpointOutcome | "too much" | "busy" | undefined> {
  const { clock, guard, tracker } = parts;
  if (tracker.unreadBytes > maxTailBytes) return "too much";
  const isLocked = await guard.lockWriters({
    clock,
    signal: options.signal,
    budgetMs: lockBudgetMs,
    // Keeps the tail short that has to be captured under the lock.
    whileWaiting: () => tracker.advance(),
  });
  if (!isLocked) return partial(tracker);
  const lockedAtMs = clock.monotonicMs();
  let report: CheckpointReport | undefined;
  try {
    if (parts.isReferenced()) return undefined;
    if (tracker.advance() !== "complete") return "too much";
    if (tracker.tailFrames > options.tailLimit || tracker.unreadBytes > maxTailBytes) {
      return "too much";
    }
    // R may come to lie on mark 0: then the next writer overwrites these frames.
    tracker.materialise();
    try {
      report = guard.swap({ checkpoint: true });
    } finally {
      // A failed checkpoint leaves R on a new guard all the same.
      tracker.guardTaken(guard);
    }
  } finally {
    guard.unlockWriters();
  }
  if (report?.isBusy) return "busy";
  const writeLockMs = clock.monotonicMs() - lockedAtMs;
  const isComplete = report !== undefined && report.walFrames === report.backfilledFrames;
  // Refused by SQLite, harmlessly, if a commit slipped in or a reader still needs the frames.
  const isTruncated = options.mode === "truncate" && isComplete && guard.truncate();
  tracker.advance();
  return {
    mode: isTruncated ? "truncate" : "passive",
    walFrames: tracker.walFrames,
    backfilledFrames: backfilledFrames(tracker),
    complete: isComplete,
    writeLockMs,
  };
}

function partial(tracker: Tracker): CheckpointOutcome {
  return {
    mode: "passive",
    walFrames: tracker.walFrames,
    backfilledFrames: backfilledFrames(tracker),
    complete: false,
    writeLockMs: 0,
  };
}

function backfilledFrames(tracker: Tracker): number {
  return tracker.walFrames - tracker.tailFrames;
}
