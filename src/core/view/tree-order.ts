// What has been seen of the b-trees: the children of every interior page that came by, and each page's parent. It says which
// page comes next in key order, which is how scans go and what page numbers do not tell. Only a hint: a wrong answer costs a
// read that nobody needs.
import { childPgnos, decodeBtreePage, looksInterior } from "../sqlite/btree.ts";
import type { FrameCache } from "./frame-cache.ts";
import { type FrameRef, isSameFrame } from "./frame-table.ts";
import type { PageMap } from "./page-map.ts";
import type { WantedFrame } from "./request-plan.ts";

/** Levels that a b-tree can have: SQLite's own limit. */
export const maxDepth = 20;
/** Bytes of a database header that the reserved space is read from. */
export const reservedBytesAt = 20;

/** The page after another. */
export interface NextPage {
  readonly pgno: number;
  /** It is an interior page of whose children nothing is known yet: the order goes on below it. */
  readonly isEdge: boolean;
  /** Interior pages on the way to it, which the reader comes to first. */
  readonly entered: readonly number[];
}

interface Node {
  readonly frame: FrameRef;
  readonly children: Uint32Array;
}

export interface TreeOrderOptions {
  readonly cache: FrameCache;
  /** Children that are remembered; 4 bytes each. */
  readonly maxChildren: number;
}

export class TreeOrder {
  readonly #options: TreeOrderOptions;
  /** By page number; the oldest are forgotten first. */
  readonly #nodes = new Map<number, Node>();
  #childCount = 0;
  /** Parent of page n at n; 0 = not known. */
  #parents = new Uint32Array(0);
  #reservedBytes = 0;

  constructor(options: TreeOrderOptions) {
    this.#options = options;
  }

  /** Makes room for databases of `commit` pages. Pages beyond what was announced are not remembered. */
  reach(commit: number): void {
    if (commit < this.#parents.length) return;
    const larger = new Uint32Array(Math.ceil(commit * 1.25) + 1);
    larger.set(this.#parents);
    this.#parents = larger;
  }

  /** Looks at a page that has come in. */
  note({ pgno, frame }: WantedFrame, page: Uint8Array): void {
    if (pgno === 1) this.#reservedBytes = page[reservedBytesAt] ?? 0;
    if (!looksInterior(page, pgno)) return;
    const usableBytes = page.length - this.#reservedBytes;
    const btree = decodeBtreePage(page, { pgno, usableBytes });
    const children = btree === undefined ? undefined : childPgnos(btree);
    if (children === undefined || children.length === 0) return;
    this.#forget(pgno);
    this.#nodes.set(pgno, { frame, children });
    this.#childCount += children.length;
    for (const child of children) this.#setParent(child, pgno);
    for (const oldest of this.#nodes.keys()) {
      if (this.#childCount <= this.#options.maxChildren) break;
      this.#forget(oldest);
    }
  }

  /** The children of a page in key order; `undefined` if it is none that is known, or a leaf. */
  childrenOf(map: PageMap, pgno: number): Uint32Array | undefined {
    const frame = map.locate(pgno);
    if (frame === undefined) return undefined;
    const known = this.#nodes.get(pgno);
    if (known !== undefined && isSameFrame(known.frame, frame)) return known.children;
    if (known === undefined && (this.#parents[pgno] ?? 0) === 0) return undefined;
    // Another version of it was seen last: that of this map may still be in the cache.
    const page = new Uint8Array(map.pageSize);
    if (this.#options.cache.read(frame, page) === "miss") return undefined;
    this.note({ pgno, frame }, page);
    const node = this.#nodes.get(pgno);
    return node !== undefined && isSameFrame(node.frame, frame) ? node.children : undefined;
  }

  /**
   * The page after `pgno` in key order, on the same level of the same tree, crossing into the next cousin. The next number
   * where no parent is known: overflow chains. `undefined` at the end of a tree.
   */
  next(map: PageMap, pgno: number): NextPage | undefined {
    let child = pgno;
    for (let climbed = 0; climbed < maxDepth; climbed++) {
      const parent = this.#parents[child] ?? 0;
      const siblings = parent === 0 ? undefined : this.childrenOf(map, parent);
      const at = siblings?.indexOf(child) ?? -1;
      if (siblings === undefined || at === -1) {
        if (climbed > 0 || pgno >= map.commit) return undefined;
        return { pgno: pgno + 1, isEdge: false, entered: [] };
      }
      const sibling = siblings[at + 1];
      if (sibling !== undefined) return this.#firstBelow(map, sibling, climbed);
      child = parent;
    }
    return undefined;
  }

  /** The leftmost page `levels` below `pgno`. */
  #firstBelow(map: PageMap, pgno: number, levels: number): NextPage {
    let page = pgno;
    const entered: number[] = [];
    for (let left = levels; left > 0; left--) {
      const first = this.childrenOf(map, page)?.[0];
      if (first === undefined) return { pgno: page, isEdge: true, entered };
      entered.push(page);
      page = first;
    }
    return { pgno: page, isEdge: false, entered };
  }

  #forget(pgno: number): void {
    const node = this.#nodes.get(pgno);
    if (node === undefined) return;
    this.#childCount -= node.children.length;
    this.#nodes.delete(pgno);
  }

  #setParent(child: number, parent: number): void {
    // A page that only looks like one of a b-tree can name any number.
    if (child < this.#parents.length) this.#parents[child] = parent;
  }
}
