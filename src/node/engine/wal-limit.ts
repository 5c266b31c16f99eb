// What reads a pinned position for long: the WAL cannot be reset meanwhile, so it is given up when the WAL has become too
// large.
import type { Capture } from "../capture/capture.ts";
import type { EngineParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

const walCheckMs = 1_000;

/**
 * What `work` gives, or `undefined` if it was given up because the WAL is larger than `max-wal-size`. Throws
 * `capture/gap` if the WAL does not continue meanwhile.
 */
export async function unlessWalGrows<T>(
  { limits, clock }: EngineParts,
  capture: Capture,
  work: (waiting: Waiting) => Promise<T>,
  { signal }: Waiting,
): Promise<T | undefined> {
  const tooLarge = new AbortController();
  const failed = new AbortController();
  const done = new AbortController();
  const watching = (async () => {
    const ended = AbortSignal.any([signal, done.signal]);
    while (!ended.aborted) {
      await clock.sleep(walCheckMs, { signal: ended }).catch(() => undefined);
      try {
        capture.capture();
      } catch (error) {
        // The WAL does not continue: whoever captures next finds out, too, and compares everything.
        failed.abort(error);
        return;
      }
      if (capture.walSizeBytes > limits.maxWalSizeBytes)
        tooLarge.abort(new Error("the WAL is too large"));
    }
  })();
  try {
    const signals = [signal, tooLarge.signal, failed.signal];
    return await work({ signal: AbortSignal.any(signals) });
  } catch (error) {
    if (tooLarge.signal.aborted && !signal.aborted) return undefined;
    throw error;
  } finally {
    done.abort();
    await watching;
  }
}
