// A view: which frame holds each page at one TXID. Immutable, so a reader keeps the one it has for as long as it likes.
//
// Files are applied in the order of their TXIDs, never by level: each makes a new map, which shares all but a small layer
// with the one before. A layer is merged with the one below it once it is half as large, so there are never more than a
// few, and adding a file costs about what it holds.
import { assert } from "../base/assert.ts";
import type { LtxHeader } from "../ltx/header.ts";
import { type FrameRef, FrameTable, type SharedFrameTable } from "./frame-table.ts";

/** What the header of a file says of the database after it. */
export type FileState = Pick<
  LtxHeader,
  "pageSize" | "commit" | "minTxid" | "maxTxid" | "timestampMs"
>;

/** What `structuredClone` and `postMessage` carry. Memory is shared where the map was made so, else copied. */
export interface SharedPageMap {
  readonly state: MapState;
  readonly layers: readonly { readonly table: SharedFrameTable; readonly floor: number }[];
}

interface MapState {
  /** 0n before the first file. */
  readonly txid: bigint;
  readonly timestampMs: number;
  readonly pageSize: number;
  readonly commit: number;
  readonly isShared: boolean;
  /** How often its reader has gone over to another history. */
  readonly era: number;
}

/** Far from any TXID that is near, in either direction. */
const eraStep = 0x9e37_79b1n;

interface Layer {
  readonly table: FrameTable;
  /** The smallest commit of its files: what lies above it in the layers below is dropped. */
  readonly floor: number;
}

export class PageMap {
  readonly #state: MapState;
  /** Oldest first. */
  readonly #layers: readonly Layer[];

  private constructor(state: MapState, layers: readonly Layer[]) {
    this.#state = state;
    this.#layers = layers;
  }

  /** The map before the first file. With `isShared` its memory, and that of all made from it, can be read by other threads. */
  static empty(pageSize: number, { isShared = false } = {}): PageMap {
    const state = { txid: 0n, timestampMs: 0, pageSize, commit: 0, isShared, era: 0 };
    return new PageMap(state, []);
  }

  static fromShared({ state, layers }: SharedPageMap): PageMap {
    return new PageMap(
      state,
      layers.map(({ table, floor }) => ({ table: FrameTable.fromShared(table), floor })),
    );
  }

  share(): SharedPageMap {
    return {
      state: this.#state,
      layers: this.#layers.map(({ table, floor }) => ({ table: table.share(), floor })),
    };
  }

  /** 0n before the first file. */
  get txid(): bigint {
    return this.#state.txid;
  }

  get timestampMs(): number {
    return this.#state.timestampMs;
  }

  get pageSize(): number {
    return this.#state.pageSize;
  }

  /** Size of the database in pages. */
  get commit(): number {
    return this.#state.commit;
  }

  /**
   * 32 bits that differ between neighbouring TXIDs, and between eras, and are the same for maps of one TXID, whatever files
   * they lead to: for the change counter of page 1, so that SQLite keeps its cache while nothing changes.
   */
  get generation(): number {
    const { txid, era } = this.#state;
    return Number(BigInt.asUintN(32, txid + BigInt(era) * eraStep));
  }

  get era(): number {
    return this.#state.era;
  }

  /** The same map for a reader that has gone over to another history so often. */
  inEra(era: number): PageMap {
    return era === this.#state.era ? this : new PageMap({ ...this.#state, era }, this.#layers);
  }

  /** Layers that a search may have to look at. */
  get depth(): number {
    return this.#layers.length;
  }

  /**
   * The frame of a page. `undefined` for what no file holds, which reads as zeros: the lock page, pages the database grew
   * by without writing them, and whatever lies beyond `commit`.
   */
  locate(pgno: number): FrameRef | undefined {
    if (pgno < 1 || pgno > this.#state.commit) return undefined;
    for (let index = this.#layers.length - 1; index >= 0; index--) {
      const layer = this.#layers[index];
      if (layer === undefined) break;
      const frame = layer.table.locate(pgno);
      if (frame !== undefined) return frame;
      if (pgno > layer.floor) return undefined;
    }
    return undefined;
  }

  /** The numbers of all files that pages of this map lie in, and perhaps of some whose pages have all been replaced. */
  files(): ReadonlySet<number> {
    return new Set(this.#layers.flatMap(({ table }) => [...table.files()]));
  }

  /**
   * The map after one more file, whose frames are those of `table`, whose memory it shares. The file must be one that can be
   * applied here: min - 1 <= TXID < max, or a full image, which starts anew.
   */
  apply(state: FileState, table: FrameTable): PageMap {
    const { txid, pageSize, isShared, era } = this.#state;
    const { minTxid, maxTxid, commit, timestampMs } = state;
    assert(pageSize === state.pageSize, "a file of another page size is applied");
    assert(table.lastPgno <= commit, "a page beyond the end is applied");
    const isImage = minTxid === 1n;
    assert(isImage || (minTxid - 1n <= txid && txid < maxTxid), "a file is applied out of order");
    const below = isImage ? [] : this.#layers;
    return new PageMap(
      { txid: maxTxid, timestampMs, pageSize, commit, isShared, era },
      stack(below, { table, floor: commit }, isShared),
    );
  }
}

/** The layers with `top` on them, merged downwards for as long as it is half as large as what it lies on. */
function stack(below: readonly Layer[], top: Layer, isShared: boolean): readonly Layer[] {
  const layers = [...below];
  let newest = top;
  for (let older = layers.at(-1); older !== undefined; older = layers.at(-1)) {
    if (2 * newest.table.count < older.table.count) break;
    layers.pop();
    const table = FrameTable.merge(older.table, newest.table, { commit: newest.floor, isShared });
    newest = { table, floor: Math.min(older.floor, newest.floor) };
  }
  return [...layers, newest];
}
