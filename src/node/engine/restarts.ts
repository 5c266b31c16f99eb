// When an engine that has failed is started again.
import { backoffMs } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { Random } from "../../core/base/random.ts";

const backoff = { firstMs: 1_000, maxMs: 60_000 };

/**
 * After these the engine stays stopped: a second start would take the replica over from the other writer, or stop the
 * Litestream, without anybody having decided so.
 */
const finalCodes = ["engine/another-writer", "engine/litestream"] as const;

/** An engine that has run for so long is not failing over and over: the next pause is short again. */
const soundRunMs = 300_000;

export class Restarts {
  readonly #clock: Clock;
  readonly #random: Random;
  #failures = 0;
  #begunAtMs = 0;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  noteBegin(): void {
    this.#begunAtMs = this.#clock.monotonicMs();
  }

  /** How long to wait, ms; `undefined`: it is not started again. */
  noteFailure(error: unknown): number | undefined {
    if (hasCode(error, ...finalCodes)) return undefined;
    const wasSound = this.#clock.monotonicMs() - this.#begunAtMs > soundRunMs;
    this.#failures = wasSound ? 1 : this.#failures + 1;
    return backoffMs(this.#failures, backoff, this.#random);
  }
}
