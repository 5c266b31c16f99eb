// The machine's own clock and randomness.
import { randomFillSync } from "node:crypto";
import { setTimeout as sleepFor } from "node:timers/promises";
import type { Clock } from "../../core/base/clock.ts";
import type { Random } from "../../core/base/random.ts";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, { signal }) => {
    try {
      await sleepFor(ms, undefined, { signal });
    } catch (error) {
      // Node rejects with an error of its own, which only mentions the reason.
      signal?.throwIfAborted();
      throw error;
    }
  },
};

export const systemRandom: Random = {
  float: () => Math.random(),
  bytes: (length) => randomFillSync(new Uint8Array(length)),
};
