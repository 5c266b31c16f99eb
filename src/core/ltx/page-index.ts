// The page index of an LTX file: for each page its number, the offset of its frame and the frame's size, as
// unsigned LEB128 varints; then a zero; then the length of all that as a u64. It stands before the trailer, so
// that a reader finds any page with two ranged reads. Format: docs/formats/ltx.md, "Page index".
import { viewOf } from "../base/bytes.ts";
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

export type PageIndexTail =
  | { readonly kind: "entries"; readonly entries: readonly PageIndexEntry[] }
  /** The index starts before these bytes: read the last `tailSizeBytes` of the file. */
  | { readonly kind: "more"; readonly tailSizeBytes: number };

/**
 * Reads the page index from the last bytes of a file. `fileSizeBytes` places them. Checks order and bounds of the
 * entries, not the checksum, which covers the whole file. Throws `ltx/short` or `ltx/invalid`.
 */
export function readPageIndex(
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
  return {
    kind: "entries",
    entries: readEntries(tail.subarray(0, lengthAt), start, name, tailOffset),
  };
}

function readEntries(
  bytes: Uint8Array,
  start: number,
  name: string,
  fileOffset: number,
): readonly PageIndexEntry[] {
  const entries: PageIndexEntry[] = [];
  const end = fileOffset + start;
  const varints = new VarintReader(bytes, start);
  let lastPgno = 0;
  let lastEnd = 0;
  for (;;) {
    const { at } = varints;
    const pgno = varints.next();
    if (pgno === 0) break;
    const offset = varints.next();
    const sizeBytes = varints.next();
    if (varints.problem !== undefined) break;
    if (pgno <= lastPgno || pgno > 0xffff_ffff || offset < lastEnd || offset + sizeBytes > end) {
      const place = { name, offset: fileOffset + at };
      throw ltxFault("ltx/invalid", place, `the page index entry of page ${pgno} is out of place`);
    }
    entries.push({ pgno, offset, sizeBytes });
    lastPgno = pgno;
    lastEnd = offset + sizeBytes;
  }
  const place = { name, offset: fileOffset + varints.at };
  if (varints.problem !== undefined) throw ltxFault("ltx/invalid", place, varints.problem);
  if (varints.at !== bytes.length) {
    throw ltxFault("ltx/invalid", place, "the page index ends before its length says");
  }
  return entries;
}

/** Reads varints in shortest form one after the other. From the first that is none on it gives 0. */
class VarintReader {
  /** Where the next one begins, or the one that is none. */
  at: number;
  problem: string | undefined;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    if (this.problem !== undefined) return 0;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < maxVarintBytes; i++, scale *= 128) {
      const byte = this.#bytes[this.at + i];
      if (byte === undefined) return this.#refuse("the page index has no end");
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      if ((byte === 0 && i > 0) || !Number.isSafeInteger(value)) break;
      this.at += i + 1;
      return value;
    }
    return this.#refuse("the page index holds a malformed number");
  }

  #refuse(problem: string): number {
    this.problem = problem;
    return 0;
  }
}
