// The page-checksum table: 8 bytes per page of a database, and their XOR, the database checksum. It proves a chain
// of files, makes a resync cheap (only pages that differ are sent) and is what a scrub compares with.
// Format of the checksums: docs/formats/ltx.md, "Checksums".
import { HeadwaterError } from "../base/errors.ts";
import { isPageSize, lockPgno } from "../base/page.ts";
import { viewOf } from "../base/bytes.ts";
import type { Codec } from "../codec/codec.ts";
import { toChecksum } from "../codec/crc64.ts";

/** "HWPC", page size, commit; then the table. */
const tableMagic = 0x4857_5043;
const tableHeaderSizeBytes = 12;

/** A checksum for each page. 0n = none yet. The lock page never has one. */
export class PageChecksums {
  readonly pageSize: number;
  readonly #lockPgno: number;
  #commit = 0;
  /** Page `n` at 2n - 2: low word, high word. */
  #words = new Uint32Array(2048);
  #xorHi = 0;
  #xorLo = 0;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.#lockPgno = lockPgno(pageSize);
  }

  /** Pages in the database. */
  get commit(): number {
    return this.#commit;
  }

  /** XOR over pages 1..commit without the lock page, bit 63 set. Kept up to date, so it costs nothing. */
  get databaseChecksum(): bigint {
    return toChecksum(this.#xorHi, this.#xorLo);
  }

  /** The checksum of a page; 0n if it has none or lies beyond `commit`. */
  get(pgno: number): bigint {
    if (pgno > this.#commit) return 0n;
    const [hi, lo] = this.#halves(pgno);
    return (BigInt(hi) << 32n) | BigInt(lo);
  }

  /** Sets the checksum of a page; `commit` grows to hold it. The lock page is ignored. */
  set(pgno: number, checksum: bigint): void {
    this.#set(pgno, Number(checksum >> 32n), Number(checksum & 0xffff_ffffn));
  }

  /** Sets the checksums of `count` pages, `pgnos[from ..]` and `checksums[0 ..]`, without a bigint for each. */
  setMany(pgnos: Uint32Array, from: number, count: number, checksums: BigUint64Array): void {
    const words = new Uint32Array(checksums.buffer, checksums.byteOffset, 2 * checksums.length);
    for (let i = 0; i < count; i++) {
      this.#set(pgnos[from + i] ?? 0, words[2 * i + 1] ?? 0, words[2 * i] ?? 0);
    }
  }

  /** Makes the database `commit` pages long: entries beyond are dropped, new ones have no checksum yet. */
  truncate(commit: number): void {
    for (let pgno = commit + 1; pgno <= this.#commit; pgno++) this.#set(pgno, 0, 0);
    this.#grow(commit);
    this.#commit = commit;
  }

  /** A copy that goes its own way. */
  clone(): PageChecksums {
    const copy = new PageChecksums(this.pageSize);
    copy.#commit = this.#commit;
    copy.#words = this.#words.slice();
    copy.#xorHi = this.#xorHi;
    copy.#xorLo = this.#xorLo;
    return copy;
  }

  /** The table as bytes. Copied. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(tableHeaderSizeBytes + 8 * this.#commit);
    const view = viewOf(bytes);
    view.setUint32(0, tableMagic);
    view.setUint32(4, this.pageSize);
    view.setUint32(8, this.#commit);
    for (let pgno = 1; pgno <= this.#commit; pgno++) {
      const [hi, lo] = this.#halves(pgno);
      view.setUint32(tableHeaderSizeBytes + 8 * (pgno - 1), hi);
      view.setUint32(tableHeaderSizeBytes + 8 * (pgno - 1) + 4, lo);
    }
    return bytes;
  }

  /**
   * Reads what `toBytes` wrote. Throws `ltx/invalid` if it is anything else. Whether the checksums are right, only
   * a comparison of `databaseChecksum` with a proof tells.
   */
  static fromBytes(bytes: Uint8Array): PageChecksums {
    const view = viewOf(bytes);
    const isTable = bytes.length >= tableHeaderSizeBytes && view.getUint32(0) === tableMagic;
    const pageSize = isTable ? view.getUint32(4) : 0;
    const commit = isTable ? view.getUint32(8) : 0;
    if (!isPageSize(pageSize) || bytes.length !== tableHeaderSizeBytes + 8 * commit) {
      const message = "These bytes are not a page-checksum table. Delete it: it is made anew.";
      throw new HeadwaterError("ltx/invalid", message);
    }
    const table = new PageChecksums(pageSize);
    table.truncate(commit);
    for (let pgno = 1; pgno <= commit; pgno++) {
      const at = tableHeaderSizeBytes + 8 * (pgno - 1);
      table.#set(pgno, view.getUint32(at), view.getUint32(at + 4));
    }
    return table;
  }

  #halves(pgno: number): readonly [hi: number, lo: number] {
    return [this.#words[2 * pgno - 1] ?? 0, this.#words[2 * pgno - 2] ?? 0];
  }

  #set(pgno: number, hi: number, lo: number): void {
    if (pgno === this.#lockPgno) return;
    this.#grow(pgno);
    const words = this.#words;
    this.#xorLo ^= (words[2 * pgno - 2] ?? 0) ^ lo;
    this.#xorHi ^= (words[2 * pgno - 1] ?? 0) ^ hi;
    words[2 * pgno - 2] = lo;
    words[2 * pgno - 1] = hi;
  }

  #grow(commit: number): void {
    if (commit <= this.#commit) return;
    this.#commit = commit;
    if (2 * commit <= this.#words.length) return;
    const larger = new Uint32Array(Math.max(2 * commit, 2 * this.#words.length));
    larger.set(this.#words);
    this.#words = larger;
  }
}

/** Computes the checksums of pages `pgnos[from .. from + count)`, which lie in a row in `pages`, into `into[0 ..]`. */
export function checksumPages(
  codec: Codec,
  pageSize: number,
  pgnos: Uint32Array,
  from: number,
  count: number,
  pages: Uint8Array,
  into: BigUint64Array,
): void {
  using kernel = codec.openKernel(pageSize);
  for (let done = 0; done < count; done += kernel.maxPages) {
    const part = Math.min(kernel.maxPages, count - done);
    kernel.pgnos.set(pgnos.subarray(from + done, from + done + part));
    kernel.pages.set(pages.subarray(done * pageSize, (done + part) * pageSize));
    kernel.checksumPages(part);
    into.set(kernel.checksums.subarray(0, part), done);
  }
}
