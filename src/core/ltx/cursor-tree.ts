// Which of many sorted inputs has the lowest page: a tournament, so that a merge of hundreds of files costs a few
// comparisons for each page and not one for each file. Each node of a binary tree has the lower key of the two below it; a
// key is one number for page and input, so that the tree is an array of numbers without a branch on its way up.
import { assert } from "../base/assert.ts";

/** A place in one of the inputs. */
export interface PageCursorPlace {
  /** The page it stands at. */
  readonly pgno: number;
  /** Position of its input among all; of two at the same page the higher one comes first. */
  readonly order: number;
}

/** More than a merge has inputs. Page numbers have 32 bits, so a key is exact. */
const maxCursors = 2 ** 20;

export class CursorTree<T extends PageCursorPlace> {
  /** By their order. */
  readonly #cursors: readonly T[];
  /** Node `i` has the nodes `2i` and `2i + 1` below it; the root is 1, the leaves are the upper half. */
  readonly #keys: Float64Array;
  readonly #leaves: number;

  /** Every cursor counts as ended until it has moved. */
  constructor(cursors: readonly T[]) {
    assert(cursors.length <= maxCursors, "too many cursors");
    this.#cursors = cursors;
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(2, cursors.length)));
    this.#keys = new Float64Array(2 * this.#leaves).fill(Infinity);
  }

  /** Of the lowest page the newest input. `undefined` when all have ended. */
  get first(): T | undefined {
    const key = this.#keys[1] ?? Infinity;
    return key === Infinity ? undefined : this.#cursors[maxCursors - 1 - (key % maxCursors)];
  }

  /** Call it when a cursor stands at another page. */
  moved({ pgno, order }: T): void {
    this.#set(order, pgno * maxCursors + (maxCursors - 1 - order));
  }

  /** Call it when a cursor is at its end. */
  ended({ order }: T): void {
    this.#set(order, Infinity);
  }

  #set(order: number, key: number): void {
    const keys = this.#keys;
    let at = this.#leaves + order;
    keys[at] = key;
    for (; at > 1; at >>= 1) {
      keys[at >> 1] = Math.min(keys[at] ?? Infinity, keys[at ^ 1] ?? Infinity);
    }
  }
}
