// Which page may come next. A snapshot (min TXID 1) holds every page from 1 to commit in a row, any other file
// some pages in ascending order; the lock page is in neither. Reader and writer both ask here.
import { dataPageCount, lockPgno } from "../base/page.ts";
import type { LtxHeader } from "./header.ts";

export class PageOrder {
  readonly #commit: number;
  readonly #lockPgno: number;
  readonly #isSnapshot: boolean;
  readonly #dataPages: number;
  #last = 0;
  #count = 0;

  constructor({ pageSize, commit, minTxid }: LtxHeader) {
    this.#commit = commit;
    this.#lockPgno = lockPgno(pageSize);
    this.#isSnapshot = minTxid === 1n;
    this.#dataPages = dataPageCount(commit, pageSize);
  }

  /** Takes the next page number. Returns what is wrong with it, `undefined` if nothing is. */
  accept(pgno: number): string | undefined {
    const problem = this.#problemOf(pgno);
    this.#last = pgno;
    this.#count++;
    return problem;
  }

  /** What is missing at the end, `undefined` if nothing is. */
  missing(): string | undefined {
    if (!this.#isSnapshot || this.#count === this.#dataPages) return undefined;
    return `the snapshot holds ${this.#count} of ${this.#dataPages} pages`;
  }

  #problemOf(pgno: number): string | undefined {
    if (pgno === this.#lockPgno) return `page ${pgno} is the lock page, which is never stored`;
    if (pgno < 1 || pgno > this.#commit) return `page ${pgno} is outside 1..${this.#commit}`;
    if (this.#isSnapshot) {
      const skip = this.#last + 1 === this.#lockPgno ? 2 : 1;
      if (pgno === this.#last + skip) return undefined;
      return `page ${pgno} follows page ${this.#last} in a snapshot`;
    }
    return pgno > this.#last ? undefined : `page ${pgno} follows page ${this.#last}`;
  }
}
