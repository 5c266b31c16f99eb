// A window on a stream of chunks: the bytes that are being read, in the kernel's frame area, with their place in
// the file. Chunks may have any size; nothing but the window is kept.

export class InputWindow {
  /** The area the bytes are kept in. */
  readonly bytes: Uint8Array;
  /** First byte not yet consumed, in `bytes`. */
  at = 0;
  /** End of what is there, in `bytes`. */
  end = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  /** What of the last chunk did not fit yet. */
  #rest: Uint8Array;
  /** Place in the file of `bytes[0]`. */
  #base: number;

  /** Continues `chunks` with `rest`, whose first byte lies at `offset` in the file. */
  constructor(
    bytes: Uint8Array,
    chunks: AsyncIterator<Uint8Array>,
    { rest, offset, signal }: WindowStart,
  ) {
    this.bytes = bytes;
    this.#chunks = chunks;
    this.#rest = rest;
    this.#base = offset;
    this.#signal = signal;
  }

  /** Place in the file of the next byte. */
  get offset(): number {
    return this.#base + this.at;
  }

  get available(): number {
    return this.end - this.at;
  }

  /** Copies in what is at hand, then waits for chunks until `need` bytes are there. False: the input ended before. */
  async fill(need: number): Promise<boolean> {
    if (this.at > 0) {
      this.bytes.copyWithin(0, this.at, this.end);
      this.#base += this.at;
      this.end -= this.at;
      this.at = 0;
    }
    for (;;) {
      this.#copyRest();
      if (this.end >= need) return true;
      this.#signal?.throwIfAborted();
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#rest = next.value;
    }
  }

  #copyRest(): void {
    const part = this.#rest.subarray(0, this.bytes.length - this.end);
    this.bytes.set(part, this.end);
    this.end += part.length;
    this.#rest = this.#rest.subarray(part.length);
  }
}

interface WindowStart {
  readonly rest: Uint8Array;
  readonly offset: number;
  readonly signal: AbortSignal | undefined;
}
