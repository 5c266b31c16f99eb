// Time as an argument, so that a test can own it.

/** A source of time. `nowMs` is wall-clock milliseconds since 1970, `monotonicMs` never steps back. */
export interface Clock {
  nowMs(): number;
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted first. */
  sleep(ms: number, options: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}
