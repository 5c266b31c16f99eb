// xxHash, 32 bits, seed 0 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md): the checksum
// inside LZ4 frames.
import { viewOf } from "../base/bytes.ts";

const prime1 = 0x9e37_79b1;
const prime2 = 0x85eb_ca77;
const prime3 = 0xc2b2_ae3d;
const prime4 = 0x27d4_eb2f;
const prime5 = 0x1656_67b1;

/** The hash of `bytes`, as an unsigned 32-bit number. */
export function xxh32(bytes: Uint8Array): number {
  const sum = new Xxh32();
  sum.add(bytes);
  return sum.hash;
}

/** The hash of bytes that come in pieces. */
export class Xxh32 {
  #a = (prime1 + prime2) | 0;
  #b: number = prime2;
  #c = 0;
  #d = -prime1 | 0;
  /** What did not fill a stripe of 16 bytes yet. */
  readonly #tail = new Uint8Array(16);
  #tailBytes = 0;
  #totalBytes = 0;

  add(bytes: Uint8Array): void {
    this.#totalBytes += bytes.length;
    let from = 0;
    if (this.#tailBytes > 0) {
      from = Math.min(16 - this.#tailBytes, bytes.length);
      this.#tail.set(bytes.subarray(0, from), this.#tailBytes);
      this.#tailBytes += from;
      if (this.#tailBytes < 16) return;
      this.#addStripes(viewOf(this.#tail), 0, 16);
    }
    const to = bytes.length - ((bytes.length - from) % 16);
    this.#addStripes(viewOf(bytes), from, to);
    this.#tail.set(bytes.subarray(to));
    this.#tailBytes = bytes.length - to;
  }

  /** Of everything added so far, as an unsigned 32-bit number. */
  get hash(): number {
    let hash: number =
      this.#totalBytes < 16
        ? prime5
        : rotate(this.#a, 1) + rotate(this.#b, 7) + rotate(this.#c, 12) + rotate(this.#d, 18);
    hash = (hash + this.#totalBytes) | 0;
    const view = viewOf(this.#tail);
    let at = 0;
    for (; at + 4 <= this.#tailBytes; at += 4) {
      hash = (hash + Math.imul(view.getUint32(at, true), prime3)) | 0;
      hash = Math.imul(rotate(hash, 17), prime4);
    }
    for (; at < this.#tailBytes; at++) {
      hash = (hash + Math.imul(view.getUint8(at), prime5)) | 0;
      hash = Math.imul(rotate(hash, 11), prime1);
    }
    hash = Math.imul(hash ^ (hash >>> 15), prime2);
    hash = Math.imul(hash ^ (hash >>> 13), prime3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #addStripes(view: DataView, from: number, to: number): void {
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let d = this.#d;
    for (let at = from; at < to; at += 16) {
      a = round(a, view.getUint32(at, true));
      b = round(b, view.getUint32(at + 4, true));
      c = round(c, view.getUint32(at + 8, true));
      d = round(d, view.getUint32(at + 12, true));
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, prime2)) | 0, 13), prime1);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
