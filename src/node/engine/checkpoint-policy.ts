// When to checkpoint (measured in docs/capture.md): often enough that the WAL stays small, seldom enough that the
// application does not notice. The application itself is faster with its checkpoints done by us.
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import { walFrameOffset } from "../../core/sqlite/wal.ts";
import type { Capture } from "../capture/capture.ts";
import type { CheckpointOutcome } from "../capture/capture-types.ts";

/** From this many frames on, at most once in `regularMs`. */
const regularFrames = 1_000;
const regularMs = 1_000;

/** Above this many frames, every `urgentMs`. */
const urgentFrames = 16_000;
const urgentMs = 50;

/** A small WAL is checkpointed this long after the last capture. */
const quietMs = 60_000;

/** A larger WAL file is cut back, unless so much of it is used that it would soon be as large again. */
const truncateBytes = 64 << 20;
const stillNeededBytes = 32 << 20;

const blockedLogMs = 60_000;

/** What it goes by. */
type WalFacts = Pick<Capture, "walFrames" | "walSizeBytes" | "pageSize">;

export class CheckpointPolicy {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxWalSizeBytes: number;
  #attemptedAtMs = Number.NEGATIVE_INFINITY;
  #capturedAtMs: number | undefined;
  #isComplete = false;
  /** The WAL file was too large after the last attempt. */
  #isLarge = false;
  /** The last attempt moved nothing: a reader is in the way, and trying more often would not help. */
  #isStuck = false;
  #backfilledFrames = 0;
  #blockedLoggedAtMs = Number.NEGATIVE_INFINITY;
  #isBlocked = false;

  constructor(clock: Clock, logger: Logger, maxWalSizeBytes: number) {
    this.#clock = clock;
    this.#logger = logger;
    this.#maxWalSizeBytes = maxWalSizeBytes;
  }

  /** True while the WAL is above its limit and something keeps it from being reset. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Something was captured since the last checkpoint. */
  noteCapture(): void {
    this.#capturedAtMs = this.#clock.monotonicMs();
    this.#isComplete = false;
  }

  isDue(capture: WalFacts): boolean {
    return this.msUntilDue(capture) <= 0;
  }

  /** `Infinity` when there is nothing to do. */
  msUntilDue(capture: WalFacts): number {
    const now = this.#clock.monotonicMs();
    const frames = capture.walFrames;
    if (frames === 0) return Number.POSITIVE_INFINITY;
    if (this.#isComplete)
      return this.#isLarge ? this.#attemptedAtMs + quietMs - now : Number.POSITIVE_INFINITY;
    if (frames >= urgentFrames && !this.#isStuck) return this.#attemptedAtMs + urgentMs - now;
    if (frames >= regularFrames) return this.#attemptedAtMs + regularMs - now;
    return this.#capturedAtMs === undefined
      ? Number.POSITIVE_INFINITY
      : this.#capturedAtMs + quietMs - now;
  }

  /**
   * A large WAL file is cut back when it is no longer needed: nothing came since it was checkpointed, or little. Under a fast
   * writer it would grow again at once, and cutting it keeps writers waiting.
   */
  modeFor({ walFrames, walSizeBytes, pageSize }: WalFacts): "passive" | "truncate" {
    const usedBytes = walFrameOffset(walFrames + 1, pageSize);
    const isNeeded = !this.#isComplete && usedBytes > stillNeededBytes;
    return walSizeBytes > truncateBytes && !isNeeded ? "truncate" : "passive";
  }

  /** It failed for a reason that passes, such as a full disk; it is tried again as if it had not moved anything. */
  noteFailure(error: Error): void {
    this.#attemptedAtMs = this.#clock.monotonicMs();
    this.#capturedAtMs = this.#attemptedAtMs;
    this.#isStuck = true;
    this.#logger.log("error", "checkpoint.failed", { error: error.message });
  }

  /** `undefined`: something stood in the way. */
  noteOutcome(outcome: CheckpointOutcome | undefined, capture: WalFacts, elapsedMs: number): void {
    const now = this.#clock.monotonicMs();
    this.#attemptedAtMs = now;
    if (outcome === undefined) return;
    this.#logger.log("debug", "checkpoint.done", { ...outcome, elapsedMs });
    this.#isComplete = outcome.complete;
    this.#isLarge = capture.walSizeBytes > truncateBytes;
    this.#isStuck = !outcome.complete && outcome.backfilledFrames === this.#backfilledFrames;
    this.#backfilledFrames = outcome.backfilledFrames;
    if (outcome.complete) this.#capturedAtMs = undefined;
    else this.#capturedAtMs = now;
    this.#isBlocked = !outcome.complete && capture.walSizeBytes > this.#maxWalSizeBytes;
    if (this.#isBlocked && now - this.#blockedLoggedAtMs >= blockedLogMs) {
      this.#blockedLoggedAtMs = now;
      this.#logger.log("error", "wal.blocked", {
        walSizeBytes: capture.walSizeBytes,
        maxWalSizeBytes: this.#maxWalSizeBytes,
        hint: "a long-running reader or transaction of the application keeps the WAL from being reset",
      });
    }
  }
}
