// A token bucket: fills at a constant rate up to its capacity, and may be overdrawn by what must not wait.

export interface TokenBucketOptions {
  /** Most tokens it holds. */
  readonly capacity: number;
  /** Tokens it gains in a millisecond. */
  readonly perMs: number;
  /** Tokens in it at the start; below 0 = overdrawn. Default: full. */
  readonly tokens?: number | undefined;
}

/** Time is an argument, in ms of one clock. A clock that steps back fills nothing. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #atMs: number;

  constructor({ capacity, perMs, tokens = capacity }: TokenBucketOptions, nowMs: number) {
    this.#capacity = capacity;
    this.#perMs = perMs;
    this.#tokens = Math.min(capacity, tokens);
    this.#atMs = nowMs;
  }

  tokens(nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#capacity, this.#tokens + elapsedMs * this.#perMs);
    return this.#tokens;
  }

  /** Takes tokens, also those that are not there yet. */
  take(count: number, nowMs: number): void {
    this.#tokens = this.tokens(nowMs) - count;
  }

  /** How long until it holds `count`, ms; more than it can hold counts as full. */
  msUntil(count: number, nowMs: number): number {
    const missing = Math.min(count, this.#capacity) - this.tokens(nowMs);
    return missing <= 0 ? 0 : missing / this.#perMs;
  }
}
