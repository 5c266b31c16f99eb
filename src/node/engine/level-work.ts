// Does the jobs of the levels, one at a time: which of them is due, and what becomes of one that fails.
import { messageOf } from "../../core/base/errors.ts";
import { Bell } from "./bell.ts";
import type { LevelJob } from "./level-job.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

export interface LevelWorkHooks {
  /** Nothing is done before, ms. */
  readonly msUntilMay: () => number;
  /** A job is done. */
  readonly onDone: () => void;
  /** A job has failed; it is tried again. */
  readonly onFailed: (error: unknown) => void;
}

export class LevelWork {
  readonly #parts: Pick<ReplicaParts, "clock" | "random" | "logger">;
  readonly #jobs: readonly LevelJob[];
  readonly #hooks: LevelWorkHooks;
  readonly #bell = new Bell();
  #isAtWork = false;
  #failingSinceMs: number | undefined;
  #lastError: string | undefined;

  /** `jobs` in the order in which they are done where several are due. */
  constructor(
    parts: Pick<ReplicaParts, "clock" | "random" | "logger">,
    jobs: readonly LevelJob[],
    hooks: LevelWorkHooks,
  ) {
    this.#parts = parts;
    this.#jobs = jobs;
    this.#hooks = hooks;
  }

  get isAtWork(): boolean {
    return this.#isAtWork;
  }

  /** Wall clock, ms; `undefined`: no job has to be tried again. */
  get failingSinceMs(): number | undefined {
    return this.#failingSinceMs;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** How long until something is due if nothing changes, ms; `Infinity` = never. */
  get msUntilDue(): number {
    const nowMs = this.#parts.clock.nowMs();
    return Math.min(...this.#jobs.map((job) => job.msUntilDue(nowMs)));
  }

  /** Looks again what is due. */
  ring(): void {
    this.#bell.ring();
  }

  /** Works until aborted. Never throws. */
  async run({ signal }: Waiting): Promise<void> {
    const { clock } = this.#parts;
    const { msUntilMay } = this.#hooks;
    while (!signal.aborted) {
      await this.#bell.wait(Math.max(this.msUntilDue, msUntilMay()), signal);
      // Whatever is due is done together, on credit: one after the other, the first would always be first.
      if (msUntilMay() > 0) continue;
      for (const job of this.#jobs) {
        if (signal.aborted) return;
        if (job.msUntilDue(clock.nowMs()) > 0) continue;
        this.#isAtWork = true;
        await this.#attempt(job, { signal });
        this.#isAtWork = false;
      }
    }
  }

  async #attempt(job: LevelJob, { signal }: Waiting): Promise<void> {
    const { clock, random, logger } = this.#parts;
    try {
      const atLeastMs = await job.work({ signal });
      if (job.failures > 0) logger.log("info", `${job.name}.recovered`, {});
      job.noteDone(clock.nowMs(), atLeastMs);
      this.#hooks.onDone();
      if (this.#jobs.every(({ failures }) => failures === 0)) {
        this.#failingSinceMs = undefined;
        this.#lastError = undefined;
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#hooks.onFailed(error);
      const waitMs = job.noteFailure(clock.nowMs(), random);
      this.#failingSinceMs ??= clock.nowMs();
      this.#lastError = messageOf(error);
      const { failures } = job;
      logger.log("warn", `${job.name}.failed`, { failures, waitMs, error: this.#lastError });
    }
  }
}
