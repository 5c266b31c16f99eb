// Page number -> frame, as columns over one buffer, which may be shared memory: 14 bytes for each page where nearly all
// pages are there (dense: the row is the page number), 18 where few are (sparse: sorted page numbers, found by halving).
// Immutable once built.
import { assert } from "../base/assert.ts";
import type { IndexColumns } from "../codec/index-columns.ts";
import type { PageIndex } from "../ltx/page-index.ts";

/** Where a frame lies. The identity of a frame is (file, offset): its bytes never change. */
export interface FrameRef {
  /** Number in the file table; never given twice. */
  readonly file: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Whether both are one frame. */
export function isSameFrame(a: FrameRef, b: FrameRef): boolean {
  return a.file === b.file && a.offset === b.offset;
}

/** What `structuredClone` carries; the buffer is shared if it was made so. */
export interface SharedFrameTable {
  readonly buffer: ArrayBufferLike;
  readonly rowCount: number;
  readonly count: number;
  readonly isDense: boolean;
}

/** Rows of an index, and the row and the file that they become. */
interface IndexRows {
  readonly from: number;
  readonly end: number;
  readonly toRow: number;
  readonly file: number;
}

const denseRowBytes = 14;
const sparseRowBytes = 18;
const twoTo32 = 2 ** 32;
const maxOffset = 2 ** 48;

export class FrameTable {
  /** Pages that have a frame. */
  readonly count: number;
  readonly #shared: SharedFrameTable;
  /** Empty in a dense table. */
  readonly #pgnos: Uint32Array;
  readonly #files: Uint32Array;
  readonly #offsetsLow: Uint32Array;
  /** 0 in a dense table: no frame. */
  readonly #sizes: Uint32Array;
  readonly #offsetsHigh: Uint16Array;

  private constructor(shared: SharedFrameTable) {
    const { buffer, rowCount, count, isDense } = shared;
    this.#shared = shared;
    this.count = count;
    const words = 4 * rowCount;
    const pgnoBytes = isDense ? 0 : words;
    this.#pgnos = new Uint32Array(buffer, 0, isDense ? 0 : rowCount);
    this.#files = new Uint32Array(buffer, pgnoBytes, rowCount);
    this.#offsetsLow = new Uint32Array(buffer, pgnoBytes + words, rowCount);
    this.#sizes = new Uint32Array(buffer, pgnoBytes + 2 * words, rowCount);
    this.#offsetsHigh = new Uint16Array(buffer, pgnoBytes + 3 * words, rowCount);
  }

  /** The table of one file's index. */
  static fromIndex(
    file: number,
    { columns }: PageIndex,
    { isShared }: { readonly isShared: boolean },
  ): FrameTable {
    const { count, pgnos } = columns;
    const table = FrameTable.#allocate(count, pgnos[count - 1] ?? 0, isShared);
    if (table.#shared.isDense) {
      for (let from = 0; from < count;) {
        const end = endOfRun(pgnos, from);
        table.#copy(columns, { from, end, toRow: (pgnos[from] ?? 0) - 1, file });
        from = end;
      }
    } else {
      table.#pgnos.set(pgnos);
      table.#copy(columns, { from: 0, end: count, toRow: 0, file });
    }
    return table;
  }

  /** `newer` over what is left of `older` once its pages above `commit` are dropped. */
  static merge(
    older: FrameTable,
    newer: FrameTable,
    { commit, isShared }: { readonly commit: number; readonly isShared: boolean },
  ): FrameTable {
    const pgnos = new Uint32Array(older.count + newer.count);
    let count = 0;
    let oldRow = older.#nextRow(0);
    let newRow = newer.#nextRow(0);
    for (;;) {
      const oldPgno = older.#pgnoAt(oldRow);
      const newPgno = newer.#pgnoAt(newRow);
      const next = Math.min(oldPgno > commit ? Infinity : oldPgno, newPgno);
      if (next === Infinity) break;
      pgnos[count++] = next;
      if (oldPgno === next) oldRow = older.#nextRow(oldRow + 1);
      if (newPgno === next) newRow = newer.#nextRow(newRow + 1);
    }
    const table = FrameTable.#allocate(count, pgnos[count - 1] ?? 0, isShared);
    for (let index = 0; index < count; index++) {
      const pgno = pgnos[index] ?? 0;
      const frame = newer.locate(pgno) ?? older.locate(pgno);
      assert(frame !== undefined, "a merged page has no frame");
      table.#set(index, pgno, frame.file, frame.offset, frame.sizeBytes);
    }
    return table;
  }

  /** What was shared, opened again over the same memory. */
  static fromShared(shared: SharedFrameTable): FrameTable {
    return new FrameTable(shared);
  }

  share(): SharedFrameTable {
    return this.#shared;
  }

  get sizeBytes(): number {
    return this.#shared.buffer.byteLength;
  }

  /** The highest page number that has a frame; 0 if none has. */
  get lastPgno(): number {
    const { isDense, rowCount } = this.#shared;
    return isDense ? rowCount : (this.#pgnos[rowCount - 1] ?? 0);
  }

  /** The numbers of the files that its frames lie in. */
  files(): ReadonlySet<number> {
    const files = new Set<number>();
    for (let row = 0; row < this.#shared.rowCount; row++) {
      if (this.#sizes[row] !== 0) files.add(this.#files[row] ?? 0);
    }
    return files;
  }

  /** `undefined` if the page has no frame here. */
  locate(pgno: number): FrameRef | undefined {
    const row = this.#shared.isDense ? pgno - 1 : this.#find(pgno);
    const sizeBytes = this.#sizes[row] ?? 0;
    if (sizeBytes === 0) return undefined;
    const offset = (this.#offsetsHigh[row] ?? 0) * twoTo32 + (this.#offsetsLow[row] ?? 0);
    return { file: this.#files[row] ?? 0, offset, sizeBytes };
  }

  static #allocate(count: number, lastPgno: number, isShared: boolean): FrameTable {
    const isDense = lastPgno * denseRowBytes <= count * sparseRowBytes;
    const rowCount = isDense ? lastPgno : count;
    const sizeBytes = rowCount * (isDense ? denseRowBytes : sparseRowBytes);
    const buffer = isShared ? new SharedArrayBuffer(sizeBytes) : new ArrayBuffer(sizeBytes);
    return new FrameTable({ buffer, rowCount, count, isDense });
  }

  /** Copies rows of an index: only while the table is built. In one piece, because it comes before any page is read. */
  #copy(
    { offsetsLow, offsetsHigh, sizes }: IndexColumns,
    { from, end, toRow, file }: IndexRows,
  ): void {
    this.#files.fill(file, toRow, toRow + end - from);
    this.#offsetsLow.set(offsetsLow.subarray(from, end), toRow);
    this.#offsetsHigh.set(offsetsHigh.subarray(from, end), toRow);
    this.#sizes.set(sizes.subarray(from, end), toRow);
  }

  /** Fills the `index`th row: only while the table is built. */
  #set(index: number, pgno: number, file: number, offset: number, sizeBytes: number): void {
    assert(offset < maxOffset && sizeBytes > 0, "a frame lies out of bounds");
    const isSparse = this.#pgnos.length > 0;
    const row = isSparse ? index : pgno - 1;
    if (isSparse) this.#pgnos[row] = pgno;
    this.#files[row] = file;
    this.#offsetsLow[row] = offset >>> 0;
    this.#offsetsHigh[row] = offset / twoTo32;
    this.#sizes[row] = sizeBytes;
  }

  #find(pgno: number): number {
    let low = 0;
    let high = this.#pgnos.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#pgnos[middle] ?? 0;
      if (found === pgno) return middle;
      if (found < pgno) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The first row from `row` on that has a frame. */
  #nextRow(row: number): number {
    let next = row;
    while (next < this.#shared.rowCount && this.#sizes[next] === 0) next++;
    return next;
  }

  /** Infinity behind the last row. */
  #pgnoAt(row: number): number {
    if (row >= this.#shared.rowCount) return Infinity;
    return this.#shared.isDense ? row + 1 : (this.#pgnos[row] ?? 0);
  }
}

/** The end of the run of page numbers without a gap that begins in a row. Found by halving: runs are as a rule all there is. */
function endOfRun(pgnos: Uint32Array, from: number): number {
  const first = pgnos[from] ?? 0;
  let low = from + 1;
  let high = pgnos.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pgnos[middle] ?? 0) - first === middle - from) low = middle + 1;
    else high = middle;
  }
  return low;
}
