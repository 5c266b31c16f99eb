// A database as bytes, and what applying an LTX file does to it: the model that restore and merge are compared with.
import { createHash } from "node:crypto";

export class DatabaseImage {
  readonly #pageSize: number;
  #bytes = new Uint8Array(0);

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** Cuts or grows to `commit` pages, new ones zero, then puts the pages in. */
  apply(commit: number, pageByPgno: ReadonlyMap<number, Uint8Array>): void {
    const next = new Uint8Array(commit * this.#pageSize);
    next.set(this.#bytes.subarray(0, next.length));
    for (const [pgno, page] of pageByPgno) next.set(page, (pgno - 1) * this.#pageSize);
    this.#bytes = next;
  }

  sha256(): string {
    return createHash("sha256").update(this.#bytes).digest("hex");
  }
}
