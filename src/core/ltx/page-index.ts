// The page index of an LTX file: for each page its number, the offset of its frame and the frame's size, as
// unsigned LEB128 varints; then a zero; then the length of all that as a u64. It stands before the trailer, so
// that a reader finds any page with two ranged reads. Format: docs/formats/ltx.md, "Page index".
import { viewOf } from "../base/bytes.ts";
import type { Codec } from "../codec/codec.ts";
import type { IndexColumns } from "../codec/index-columns.ts";
import { ltxFault } from "./fault.ts";
import { ltxTrailerSizeBytes } from "./trailer.ts";

/** Bytes of the length that follows the index. */
export const indexLengthSizeBytes = 8;

/** Longest varint we accept: offsets up to 2^53. */
const maxVarintBytes = 8;

/** Collects the index while frames are written. */
export class PageIndexWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** Notes a frame of `sizeBytes` at `offset` in the file. */
  add(pgno: number, offset: number, sizeBytes: number): void {
    this.#reserve(3 * maxVarintBytes);
    this.#varint(pgno);
    this.#varint(offset);
    this.#varint(sizeBytes);
  }

  /** The index with its end mark and its length. Copied. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#reserve(1 + indexLengthSizeBytes);
    this.#bytes[this.#length++] = 0;
    viewOf(this.#bytes).setBigUint64(this.#length, BigInt(this.#length));
    return this.#bytes.slice(0, this.#length + indexLengthSizeBytes);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * this.#bytes.length);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
    }
    this.#bytes[this.#length++] = rest;
  }
}

/** Where a page's frame lies in its file. */
export interface PageIndexEntry {
  readonly pgno: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The entries of an index, in ascending order of page numbers and of offsets. */
export class PageIndex implements Iterable<PageIndexEntry> {
  readonly columns: IndexColumns;

  constructor(columns: IndexColumns) {
    this.columns = columns;
  }

  /** How many entries there are. */
  get count(): number {
    return this.columns.count;
  }

  *[Symbol.iterator](): Generator<PageIndexEntry, void, undefined> {
    for (let row = 0; row < this.count; row++) yield this.at(row);
  }

  /** The entry in a row, from 0 to below `count`. */
  at(row: number): PageIndexEntry {
    const { pgnos, offsetsLow, offsetsHigh, sizes } = this.columns;
    const offset = (offsetsHigh[row] ?? 0) * 2 ** 32 + (offsetsLow[row] ?? 0);
    return { pgno: pgnos[row] ?? 0, offset, sizeBytes: sizes[row] ?? 0 };
  }
}

export type PageIndexTail =
  | { readonly kind: "index"; readonly index: PageIndex }
  /** The index starts before these bytes: read the last `tailSizeBytes` of the file. */
  | { readonly kind: "more"; readonly tailSizeBytes: number };

/**
 * Reads the page index from the last bytes of a file. `fileSizeBytes` places them. Checks order and bounds of the
 * entries, not the checksum, which covers the whole file. Throws `ltx/short` or `ltx/invalid`.
 */
export function readPageIndex(
  codec: Codec,
  tail: Uint8Array,
  { name, fileSizeBytes }: { readonly name: string; readonly fileSizeBytes: number },
): PageIndexTail {
  const tailOffset = fileSizeBytes - tail.length;
  const lengthAt = tail.length - ltxTrailerSizeBytes - indexLengthSizeBytes;
  if (lengthAt < 0) {
    throw ltxFault(
      "ltx/short",
      { name, offset: fileSizeBytes },
      "there is no room for a page index",
    );
  }
  const length = viewOf(tail).getBigUint64(lengthAt);
  if (length < 1n || length > BigInt(tailOffset + lengthAt)) {
    const problem = `the page index cannot be ${length} bytes long`;
    throw ltxFault("ltx/invalid", { name, offset: tailOffset + lengthAt }, problem);
  }
  const start = lengthAt - Number(length);
  if (start < 0) return { kind: "more", tailSizeBytes: tail.length - start };
  const indexOffset = tailOffset + start;
  const reading = codec.readIndex(tail.subarray(start, lengthAt), indexOffset);
  const problem =
    reading.problem ??
    (reading.endAt === lengthAt - start ? undefined : "the page index ends before its length says");
  if (problem !== undefined) {
    throw ltxFault("ltx/invalid", { name, offset: indexOffset + reading.endAt }, problem);
  }
  return { kind: "index", index: new PageIndex(reading) };
}
