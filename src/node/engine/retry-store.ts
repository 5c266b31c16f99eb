// Waiting for a store that does not answer. What waiting cannot mend (credentials, a missing bucket) is thrown.
import { retry } from "../../core/base/async.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { EngineParts } from "./parts.ts";

const backoff = { firstMs: 250, maxMs: 300_000 };

/** Attempts of a single pass (`--once`); otherwise retries never end by themselves. */
const onceAttempts = 6;

export function retryStore<T>(
  { clock, random, logger, once }: EngineParts,
  { signal }: { readonly signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  return retry(work, {
    clock,
    random,
    signal,
    backoff,
    attempts: once ? onceAttempts : Number.POSITIVE_INFINITY,
    isRetryable: (error) =>
      error instanceof HeadwaterError &&
      error.code.startsWith("store/") &&
      error.recovery === "retry",
    onRetry: (error, attempt, waitMs) => {
      logger.log("warn", "replica.waiting", {
        attempt,
        waitMs: Math.round(waitMs),
        error: messageOf(error),
      });
    },
  });
}
