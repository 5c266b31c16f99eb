// The loop that captures: notes what is committed, has it staged when that is due, checkpoints, and looks whether the file
// at the path is still the one that is attached. A database that goes away is attached anew.
import { hasCode, messageOf } from "../../core/base/errors.ts";
import { startWakeUp } from "../capture/wake-up.ts";
import { goneError } from "./attach-database.ts";
import { Bell } from "./bell.ts";
import type { Cadence } from "./cadence.ts";
import type { CheckpointPolicy } from "./checkpoint-policy.ts";
import type { LitestreamWatch } from "./litestream-beside.ts";
import type { EngineParts } from "./parts.ts";
import type { Stager } from "./stager.ts";
import type { Waiting } from "./waiting.ts";

/** How often the file at the path is compared with the one we are attached to. */
const inspectMs = 900;

/** What the loop works with, and what it has done by the engine. */
export interface CaptureLoopOptions {
  readonly parts: EngineParts;
  readonly stager: Stager;
  readonly checkpoints: CheckpointPolicy;
  readonly cadence: Cadence;
  readonly litestream: LitestreamWatch;
  /** Somebody waits for what is committed. */
  readonly isAwaited: () => boolean;
  /** Something was committed, or capture cannot go on. */
  readonly onNews: () => void;
  /** Stages everything committed so far. */
  readonly flush: (waiting: Waiting) => Promise<void>;
  /** Attaches again, however long that takes. */
  readonly attach: (waiting: Waiting) => Promise<void>;
}

export class CaptureLoop {
  readonly #options: CaptureLoopOptions;
  readonly #bell = new Bell();
  #inspectedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: CaptureLoopOptions) {
    this.#options = options;
  }

  /** There is something to do. */
  wake(): void {
    this.#bell.ring();
  }

  /** As `wake`, for who waits for what lies at the path now. */
  inspectSoon(): void {
    this.#inspectedAtMs = Number.NEGATIVE_INFINITY;
    this.wake();
  }

  /** Works until aborted. Throws what ends replication. */
  async run({ signal }: Waiting): Promise<void> {
    const { parts, stager, attach } = this.#options;
    const { path, clock, logger } = parts;
    while (!signal.aborted) {
      const { capture } = stager;
      try {
        await using watch = new AsyncDisposableStack();
        watch.use(startWakeUp({ path, clock, check: () => this.#check() }));
        await this.#loop({ signal });
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        // SQLite fails in many ways on a file that was replaced underneath.
        const isGone =
          hasCode(error, "capture/gone", "capture/locked") || capture.checkIdentity() !== "same";
        if (!isGone) throw error;
        logger.log("warn", "database.gone", { path, error: messageOf(error) });
        await stager.detach();
        await attach({ signal });
      }
    }
  }

  async #loop({ signal }: Waiting): Promise<void> {
    const { stager, checkpoints, flush } = this.#options;
    // What was committed before we attached makes no event.
    this.#check();
    this.#bell.ring();
    while (!signal.aborted) {
      await this.#bell.wait(this.#msUntilDue(), signal);
      if (signal.aborted) return;
      if (this.#isInspectionDue()) this.#inspect();
      await stager.mend({ signal });
      if (this.#isFlushDue()) await flush({ signal });
      if (checkpoints.isDue(stager.capture)) {
        await stager.checkpoint({ signal });
        this.#check();
      }
    }
  }

  /** Called at every sign of a commit and once a second: notes new frames, wakes the loop if there is work. */
  #check(): boolean {
    const { stager, cadence, onNews } = this.#options;
    const { isNews, isMuch } = stager.look();
    if (isMuch) cadence.noteMuch();
    if (isNews) onNews();
    if (isNews || this.#isInspectionDue()) this.#bell.ring();
    return isNews;
  }

  #isFlushDue(): boolean {
    const { stager, cadence, isAwaited } = this.#options;
    return isAwaited() || (stager.pending > 0 && cadence.msUntilFlush() <= 0);
  }

  #msUntilDue(): number {
    const { stager, cadence, checkpoints } = this.#options;
    const flushMs = stager.pending === 0 ? Number.POSITIVE_INFINITY : cadence.msUntilFlush();
    return Math.min(flushMs, checkpoints.msUntilDue(stager.capture));
  }

  #isInspectionDue(): boolean {
    return this.#options.parts.clock.monotonicMs() - this.#inspectedAtMs >= inspectMs;
  }

  /** Looks whether the file is still the one we are attached to, and whether a Litestream has come. */
  #inspect(): void {
    const { parts, stager, litestream } = this.#options;
    this.#inspectedAtMs = parts.clock.monotonicMs();
    litestream.check();
    const identity = stager.capture.checkIdentity();
    if (identity !== "same") throw goneError(parts.path, identity);
  }
}
