// Waiting for what nobody announces.
import { setTimeout as sleep } from "node:timers/promises";

/** Asks again and again until the answer is true; throws after `timeoutMs`. */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const endsAtMs = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > endsAtMs)
      throw new Error(`it did not happen within ${timeoutMs / 1000} s`);
    await sleep(20);
  }
}
