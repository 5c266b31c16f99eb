// CRC-64/ISO in 32-bit halves, without tables. The polynomial x^64+x^4+x^3+x+1 is so sparse that, counted in
// 32-bit words, the word at i can be removed by XORing it into the words at i+60, i+61, i+63 and i+64. What
// is left, the last 64 words, goes through the plain step below.
//
// The state is the raw remainder (all ones at the start, inverted at the end), reflected: bit 63 is x^0.
// Words are read little-endian, as every JavaScript engine in use stores them.

const foldWords = 64;

/** A running CRC, as two halves. */
export class Crc64 {
  hi = -1;
  lo = -1;

  /** Back to the start: all ones. */
  reset(): void {
    this.hi = -1;
    this.lo = -1;
  }

  /** Any bytes at any alignment. For whole pages `addWords` is much faster. */
  add(bytes: Uint8Array): void {
    let { hi, lo } = this;
    for (let i = 0; i < bytes.length; i++) {
      const low = (lo ^ (bytes[i] ?? 0)) & 0xff;
      lo = (lo >>> 8) | (hi << 24);
      hi = (hi >>> 8) ^ (low << 24) ^ (low << 23) ^ (low << 21) ^ (low << 20);
    }
    this.hi = hi;
    this.lo = lo;
  }

  /** One 32-bit word, in little-endian byte order. */
  addWord(value: number): void {
    const low = this.lo ^ value;
    this.lo = this.hi ^ (low << 31) ^ (low << 29) ^ (low << 28);
    this.hi = low ^ (low >>> 1) ^ (low >>> 3) ^ (low >>> 4);
  }

  /** All words of `work`, at least 68, a multiple of four. Destroys `work`. */
  addWords(work: Int32Array): void {
    const count = work.length;
    work[0] = word(work, 0) ^ this.lo;
    work[1] = word(work, 1) ^ this.hi;
    foldWordsForward(work);
    this.hi = 0;
    this.lo = 0;
    for (let i = count - foldWords; i < count; i++) this.addWord(word(work, i));
  }

  /** The finished value as it stands in files: inverted, bit 63 set. */
  get value(): bigint {
    return toChecksum(~this.hi, ~this.lo);
  }
}

/** Joins two halves and sets bit 63, which every stored checksum has. */
export function toChecksum(hi: number, lo: number): bigint {
  return (BigInt((hi | 0x8000_0000) >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** Removes every word but the last 64 by adding it to later ones. */
function foldWordsForward(work: Int32Array): void {
  const count = work.length;
  // Word j takes from j-60, j-61, j-63 and j-64, as far as those exist.
  work[60] = word(work, 60) ^ word(work, 0);
  work[61] = word(work, 61) ^ word(work, 1) ^ word(work, 0);
  work[62] = word(work, 62) ^ word(work, 2) ^ word(work, 1);
  work[63] = word(work, 63) ^ word(work, 3) ^ word(work, 2) ^ word(work, 0);
  let a = word(work, 0);
  let b = word(work, 1);
  let c = word(work, 2);
  let d = word(work, 3);
  // Four at a time; neighbours share their sources, so each source is loaded once.
  for (let j = foldWords; j < count - 4; j += 4) {
    const e = word(work, j - 60);
    const f = word(work, j - 59);
    const g = word(work, j - 58);
    const h = word(work, j - 57);
    work[j] = word(work, j) ^ e ^ d ^ b ^ a;
    work[j + 1] = word(work, j + 1) ^ f ^ e ^ c ^ b;
    work[j + 2] = word(work, j + 2) ^ g ^ f ^ d ^ c;
    work[j + 3] = word(work, j + 3) ^ h ^ g ^ e ^ d;
    a = e;
    b = f;
    c = g;
    d = h;
  }
  // The last four would also take from words that stay; leave those sources out.
  const last = count - 4;
  work[last] = word(work, last) ^ d ^ b ^ a;
  work[last + 1] = word(work, last + 1) ^ c ^ b;
  work[last + 2] = word(work, last + 2) ^ d ^ c;
  work[last + 3] = word(work, last + 3) ^ d;
}

// The callers keep inside the array, so the fallback value is never used.
function word(words: Int32Array, index: number): number {
  return words[index] ?? 0;
}
