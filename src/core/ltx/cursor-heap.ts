// Which of many sorted inputs has the lowest page: a binary heap, so that a merge of hundreds of files costs a few
// comparisons for each page and not one for each file.

/** A place in one of the inputs. */
export interface PageCursorPlace {
  /** The page it stands at; `Infinity` after the last. */
  readonly pgno: number;
  /** Position of its input among all; of two at the same page the higher one comes first. */
  readonly order: number;
}

export class CursorHeap<T extends PageCursorPlace> {
  readonly #items: T[];

  constructor(cursors: readonly T[]) {
    this.#items = [...cursors];
    for (let at = this.#items.length >> 1; at >= 0; at--) this.#sink(at);
  }

  /** The first: of the lowest page the newest input. Its `pgno` is `Infinity` when all are at their end. */
  get first(): T | undefined {
    return this.#items[0];
  }

  /** Call it after the first has moved on. */
  moved(): void {
    this.#sink(0);
  }

  #sink(from: number): void {
    const items = this.#items;
    const item = items[from];
    if (item === undefined) return;
    let at = from;
    for (;;) {
      const left = 2 * at + 1;
      const [one, other] = [items[left], items[left + 1]];
      if (one === undefined) break;
      const isOther = other !== undefined && isBefore(other, one);
      const next = isOther ? other : one;
      if (!isBefore(next, item)) break;
      items[at] = next;
      at = isOther ? left + 1 : left;
    }
    items[at] = item;
  }
}

function isBefore(a: PageCursorPlace, b: PageCursorPlace): boolean {
  return a.pgno === b.pgno ? a.order > b.order : a.pgno < b.pgno;
}
