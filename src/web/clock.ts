// A browser's clock and randomness, in pages and workers.
import { orAborted } from "../core/base/async.ts";
import type { Clock } from "../core/base/clock.ts";
import type { Random } from "../core/base/random.ts";

export const browserClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, { signal }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    try {
      await orAborted(promise, { signal });
    } finally {
      clearTimeout(timer);
    }
  },
};

export const browserRandom: Random = {
  float: () => Math.random(),
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
