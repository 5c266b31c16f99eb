// How a worker that stands still hears that it is to end what it does: it gets no message then, but it can look whether a blob's
// address still leads anywhere. The page takes the address back.

/** Given out by the page. Disposing it is the sign to stop. */
export class CancelToken implements Disposable {
  readonly address = URL.createObjectURL(new Blob([" "]));

  [Symbol.dispose](): void {
    URL.revokeObjectURL(this.address);
  }
}

/** Between two looks at a token: a look takes about as long as some hundred rows. */
const lookIntervalMs = 50;

/** The worker's side: looks at the token of the call that is running. */
export class CancelWatch {
  readonly #exists: (address: string) => boolean;
  readonly #nowMs: () => number;
  #isUsable = false;
  #token: string | undefined;
  #isCancelled = false;
  #nextLookMs = 0;

  constructor(exists: (address: string) => boolean, nowMs: () => number) {
    this.#exists = exists;
    this.#nowMs = nowMs;
  }

  /** Tries it with a token that is not taken back. Where a content security policy forbids to look, all would seem to be. */
  probe(token: string | undefined): void {
    this.#isUsable = token !== undefined && this.#exists(token);
  }

  /** What is done from now on belongs to a call with this token. */
  watch(token: string | undefined): void {
    this.#isCancelled = false;
    this.#token = this.#isUsable ? token : undefined;
    this.#nextLookMs = this.#nowMs() + lookIntervalMs;
  }

  get isCancelled(): boolean {
    if (this.#token === undefined || this.#isCancelled) return this.#isCancelled;
    if (this.#nowMs() < this.#nextLookMs) return false;
    this.#isCancelled = !this.#exists(this.#token);
    this.#nextLookMs = this.#nowMs() + lookIntervalMs;
    return this.#isCancelled;
  }
}
