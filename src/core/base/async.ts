// Waiting, bounded and abortable.
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

export interface Waiting {
  readonly signal?: AbortSignal | undefined;
}

/** Throws the signal's reason if it is aborted. */
export function throwIfAborted({ signal }: Waiting): void {
  signal?.throwIfAborted();
}

/** A lock: callers run one at a time, in the order they asked. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  /** Runs `work` when every earlier caller is done. Rejects without running it if aborted while waiting. */
  async run<T>(work: () => Promise<T> | T, { signal }: Waiting = {}): Promise<T> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = before.then(() => promise);
    try {
      await before;
      signal?.throwIfAborted();
      return await work();
    } finally {
      resolve();
    }
  }
}

/** Maps with at most `limit` calls at once, keeps the order of results, stops at the first failure. */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next++;
      // `index` is below `items.length`, so the item is there.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const item = items[index] as T;
      try {
        results[index] = await work(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

/** Runs all until one fails, which aborts the others. Throws that failure when none is at work any more. */
export async function runTogether(
  works: readonly ((waiting: { readonly signal: AbortSignal }) => Promise<void>)[],
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const running = works.map((work) => work({ signal: both }));
  try {
    await Promise.all(running);
  } catch (error) {
    ended.abort(error);
    await Promise.allSettled(running);
    throw error;
  }
}

/** Exponential back-off with full jitter between half and the whole of the step. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Milliseconds to wait before attempt `attempt + 1`, `attempt` counted from 1. */
export function backoffMs(attempt: number, { firstMs, maxMs }: Backoff, random: Random): number {
  const step = Math.min(maxMs, firstMs * 2 ** Math.min(30, attempt - 1));
  return step / 2 + random.float() * (step / 2);
}

export interface RetryOptions extends Waiting {
  readonly clock: Clock;
  readonly random: Random;
  readonly backoff: Backoff;
  /** Attempts in all; `Infinity` = until aborted. */
  readonly attempts: number;
  readonly isRetryable: (error: unknown) => boolean;
  readonly onRetry?: (error: unknown, attempt: number, waitMs: number) => void;
}

/** Calls `work` until it succeeds, fails for good, or the attempts or the signal end it. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      if (attempt >= options.attempts || !options.isRetryable(error)) throw error;
      const waitMs = backoffMs(attempt, options.backoff, options.random);
      options.onRetry?.(error, attempt, waitMs);
      await options.clock.sleep(waitMs, { signal: options.signal });
    }
  }
}

/** The result of `work`, or the signal's reason as soon as it is aborted. `work` itself goes on: others may wait for it. */
export async function orAborted<T>(work: Promise<T>, { signal }: Waiting): Promise<T> {
  if (signal === undefined) return work;
  if (signal.aborted) {
    // Its failure is nobody's then, and must not end the process.
    work.catch(() => undefined);
    throw signal.reason;
  }
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * The items of `source`, ending with the signal's reason as soon as it is aborted, even while `source` hangs.
 * Leaving the loop closes `source`.
 */
export async function* abortable<T>(
  source: AsyncIterable<T>,
  { signal }: Waiting,
): AsyncGenerator<T, void, undefined> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  signal.throwIfAborted();
  let interrupt: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => interrupt?.(signal.reason);
  signal.addEventListener("abort", onAbort);
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const step = Promise.withResolvers<IteratorResult<T>>();
      interrupt = step.reject;
      iterator.next().then(step.resolve, (error: unknown) => {
        ended = true;
        step.reject(error);
      });
      const result = await step.promise;
      if (result.done === true) {
        ended = true;
        return;
      }
      yield result.value;
      signal.throwIfAborted();
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!ended) {
      const closed = Promise.resolve(iterator.return?.());
      // A source that hangs closes whenever it wakes up; nobody waits for it after an abort.
      if (signal.aborted) closed.catch(() => undefined);
      else await closed;
    }
  }
}
