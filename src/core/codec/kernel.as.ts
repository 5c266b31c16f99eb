// The codec's inner loops in AssemblyScript, compiled to WebAssembly with SIMD by `npm run build:kernel`:
// CRC-64/ISO, LZ4 blocks, page checksums, a batch of pages per call. `wasm-codec.ts` owns the memory and has
// checked every length; nothing here allocates, and only `decompress` meets bytes that nobody has proved.
//
// Memory: addresses below are fixed, everything from HOST on is laid out by the host.

/** Raw CRC of the file so far (u64), XOR of its pages' checksums (u64), page size (u32). */
const FILE_CRC: usize = 0x400;
const PAGES_XOR: usize = 0x408;
const PAGE_SIZE: usize = 0x410;
/** 16 rows of 16 u64: row t, column v is `v << 4t` after a page of zeros. */
const MULTIPLES: usize = 0x800;
/** 16 vectors: lane j of vector n is j mod n. Then 16 bytes: the largest multiple of n up to 16. */
const REPEATS: usize = 0x1000;
const STRIDES: usize = 0x1100;
/** Up to 8192 u16 positions. */
const HASHES: usize = 0x8000;

const ONES: u64 = 0xffffffffffffffff;
const CHECKSUM_FLAG: u64 = 0x8000000000000000;
const FRAME_HEADER: usize = 10;

// ----- set-up ---------------------------------------------------------------------------------------

/** Builds the tables in fresh memory, which is all zeros. `zeros` points to a page of it. */
export function init(pageSize: u32, zeros: usize): void {
  store<u32>(PAGE_SIZE, pageSize);
  for (let n: u32 = 1; n < 16; n++) {
    for (let lane: u32 = 0; lane < 16; lane++) store<u8>(REPEATS + n * 16 + lane, <u8>(lane % n));
    store<u8>(STRIDES + n, <u8>((16 / n) * n));
  }
  // What a page of zeros does to a state is linear, so the 64 single bits give every table entry.
  for (let bit: u32 = 0; bit < 64; bit++) {
    const product = crc((<u64>1) << bit, zeros, pageSize);
    const row = MULTIPLES + (bit >> 2) * 128;
    const weight: u32 = 1 << (bit & 3);
    // Values whose highest bit is this one; those below it are there already.
    for (let value: u32 = weight; value < 2 * weight; value++) {
      store<u64>(row + value * 8, load<u64>(row + (value - weight) * 8) ^ product);
    }
  }
  reset();
}

/** Starts a new file. */
export function reset(): void {
  store<u64>(FILE_CRC, ONES);
  store<u64>(PAGES_XOR, 0);
}

// ----- batches --------------------------------------------------------------------------------------

/** Adds bytes to the file's CRC. */
export function hashBytes(at: usize, length: u32): void {
  store<u64>(FILE_CRC, crc(load<u64>(FILE_CRC), at, length));
}

/** Compresses `count` pages into frames at `out`, hashes them, and returns where the frames end. */
export function encodePages(pgnos: usize, pages: usize, count: u32, out: usize, checksums: usize): usize {
  const pageSize = load<u32>(PAGE_SIZE);
  for (let i: u32 = 0; i < count; i++) {
    const end = compress(pages, pageSize, out + FRAME_HEADER);
    store<u32>(out, bswap<u32>(load<u32>(pgnos + i * 4)));
    store<u16>(out, 0x0100, 4);
    store<u32>(out, bswap<u32>(<u32>(end - out - FRAME_HEADER)), 6);
    hashPage(out, FRAME_HEADER, pages, checksums + i * 8);
    out = end;
    pages += pageSize;
  }
  return out;
}

/** Decodes `count` whole frames at `at`; returns how many, fewer if one is corrupt. */
export function decodePages(at: usize, count: u32, pages: usize, checksums: usize): u32 {
  const pageSize = load<u32>(PAGE_SIZE);
  for (let i: u32 = 0; i < count; i++) {
    const block = at + FRAME_HEADER;
    const end = block + bswap<u32>(load<u32>(at, 6));
    if (!decompress(block, end, pages, pages + pageSize)) return i;
    hashPage(at, FRAME_HEADER, pages, checksums + i * 8);
    at = end;
    pages += pageSize;
  }
  return count;
}

/**
 * Hashes a frame header of 6 or 10 bytes and its page. One pass over the page serves two checksums: a page turns
 * state h into F(h), and F(a) ^ F(b) is (a ^ b) times a constant of the page size.
 */
export function hashPage(head: usize, headSize: usize, page: usize, checksum: usize): void {
  const before = crc(load<u64>(FILE_CRC), head, <u32>headSize);
  const after = crc(before, page, load<u32>(PAGE_SIZE));
  const value = ~(after ^ pastPage(before ^ step32(ONES, load<u32>(head)))) | CHECKSUM_FLAG;
  store<u64>(FILE_CRC, after);
  store<u64>(PAGES_XOR, load<u64>(PAGES_XOR) ^ value);
  store<u64>(checksum, value);
}

/** Checksums of `count` pages, touching no file. */
export function checksumPages(pgnos: usize, pages: usize, count: u32, checksums: usize): void {
  const pageSize = load<u32>(PAGE_SIZE);
  for (let i: u32 = 0; i < count; i++) {
    const start = step32(ONES, bswap<u32>(load<u32>(pgnos + i * 4)));
    store<u64>(checksums + i * 8, ~crc(start, pages, pageSize) | CHECKSUM_FLAG);
    pages += pageSize;
  }
}

/** A state moved past a page of zeros. */
// @ts-ignore: decorator
@inline
function pastPage(state: u64): u64 {
  let product: u64 = 0;
  let row = MULTIPLES;
  for (let t = 0; t < 16; t++) {
    product ^= load<u64>(row + (<usize>(state & 15) << 3));
    state >>= 4;
    row += 128;
  }
  return product;
}

// ----- CRC-64/ISO -----------------------------------------------------------------------------------
// The polynomial is x^64 + x^4 + x^3 + x + 1, reflected: bit 63 of the state is x^0. States are raw: all ones at
// the start, inverted only when stored.

// @ts-ignore: decorator
@inline
function step64(state: u64, word: u64): u64 {
  const t = state ^ word;
  // The four bits that a product shifted out of 64 bits comes back with.
  const u = t ^ (t << 63) ^ (t << 61) ^ (t << 60);
  return u ^ (u >> 1) ^ (u >> 3) ^ (u >> 4);
}

// @ts-ignore: decorator
@inline
function step32(state: u64, word: u32): u64 {
  const t = state ^ (<u64>word);
  const o = t << 32;
  return (t >> 32) ^ o ^ (o >> 1) ^ (o >> 3) ^ (o >> 4);
}

// @ts-ignore: decorator
@inline
function step16(state: u64, word: u16): u64 {
  const t = state ^ (<u64>word);
  const o = t << 48;
  return (t >> 16) ^ o ^ (o >> 1) ^ (o >> 3) ^ (o >> 4);
}

// @ts-ignore: decorator
@inline
function step8(state: u64, byte: u8): u64 {
  const t = state ^ (<u64>byte);
  const o = t << 56;
  return (t >> 8) ^ o ^ (o >> 1) ^ (o >> 3) ^ (o >> 4);
}

/** The state after `length` bytes at any address. */
function crc(state: u64, at: usize, length: u32): u64 {
  if (length >= 256) {
    const folded = length & ~127;
    state = crcFolded(state, at, at + folded);
    at += folded;
    length -= folded;
  }
  const end = at + length;
  for (; at + 8 <= end; at += 8) state = step64(state, load<u64>(at));
  if (at + 4 <= end) {
    state = step32(state, load<u32>(at));
    at += 4;
  }
  if (at + 2 <= end) {
    state = step16(state, load<u16>(at));
    at += 2;
  }
  if (at < end) state = step8(state, load<u8>(at));
  return state;
}

/** What vector `a` followed by `b` adds to the vector 128 bytes after `a`, apart from `a` itself. */
// @ts-ignore: decorator
@inline
function taps(a: v128, b: v128): v128 {
  return v128.xor(
    i8x16.shuffle(a, b, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17),
    v128.xor(
      i8x16.shuffle(a, b, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21),
      i8x16.shuffle(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23),
    ),
  );
}

// @ts-ignore: decorator
@inline
function fold(a: v128, b: v128, at: usize): v128 {
  return v128.xor(v128.xor(a, v128.load(at)), taps(a, b));
}

/**
 * At least 256 bytes, a multiple of 128. Counted in 16-bit units, a unit is removed by XORing it into the units 60,
 * 61, 63 and 64 later. The window of 64 units is eight registers.
 */
// @ts-ignore: decorator
@inline
function crcFolded(state: u64, at: usize, end: usize): u64 {
  const zero = i64x2.splat(0);
  let v0 = v128.xor(v128.load(at), i64x2.replace_lane(zero, 0, state));
  let v1 = v128.load(at, 16);
  let v2 = v128.load(at, 32);
  let v3 = v128.load(at, 48);
  let v4 = v128.load(at, 64);
  let v5 = v128.load(at, 80);
  let v6 = v128.load(at, 96);
  let v7 = v128.load(at, 112);
  // The last units of a window take from the first of the same window.
  v7 = v128.xor(v7, taps(zero, v0));
  for (at += 128; at < end; at += 128) {
    v0 = fold(v0, v1, at);
    v1 = fold(v1, v2, at + 16);
    v2 = fold(v2, v3, at + 32);
    v3 = fold(v3, v4, at + 48);
    v4 = fold(v4, v5, at + 64);
    v5 = fold(v5, v6, at + 80);
    v6 = fold(v6, v7, at + 96);
    v7 = fold(v7, v0, at + 112);
  }
  // The last window is not removed, so its units must not have given anything: taken back.
  v7 = v128.xor(v7, taps(zero, v0));
  let rest: u64 = 0;
  rest = both(rest, v0);
  rest = both(rest, v1);
  rest = both(rest, v2);
  rest = both(rest, v3);
  rest = both(rest, v4);
  rest = both(rest, v5);
  rest = both(rest, v6);
  return both(rest, v7);
}

// @ts-ignore: decorator
@inline
function both(state: u64, v: v128): u64 {
  return step64(step64(state, i64x2.extract_lane(v, 0)), i64x2.extract_lane(v, 1));
}

// ----- LZ4, compressing -----------------------------------------------------------------------------
// Copies are wide and may write up to 15 bytes too far; what follows overwrites them.

/** Compresses `length` bytes; returns where the block ends. A function of these bytes alone. */
function compress(source: usize, length: u32, out: usize): usize {
  if (length <= 1024) return compressSmall(source, length, out);
  if (length <= 8192) return compressMiddle(source, length, out);
  return compressLarge(source, length, out);
}

// The table's size must be a constant of the loop: as a variable it costs several percent.
function compressSmall(source: usize, length: u32, out: usize): usize {
  return compressWith(source, length, out, 10);
}
function compressMiddle(source: usize, length: u32, out: usize): usize {
  return compressWith(source, length, out, 12);
}
function compressLarge(source: usize, length: u32, out: usize): usize {
  return compressWith(source, length, out, 13);
}

/** Slot of the six bytes at `at`. */
// @ts-ignore: decorator
@inline
function slotOf(at: usize, log: u64): usize {
  return HASHES + ((<usize>(((load<u64>(at) << 16) * 227718039650203) >> (64 - log))) << 1);
}

// @ts-ignore: decorator
@inline
function compressWith(source: usize, length: u32, out: usize, log: u64): usize {
  clearHashes(<usize>2 << (<usize>log));
  const end = source + length;
  // No match starts in the last 12 bytes, none reaches into the last 5.
  const lastStart = end - 12;
  const matchLimit = end - 5;
  let anchor = source;
  let at = source + 1;
  let slot = slotOf(at, log);
  while (true) {
    // Search. Empty slots name position 0, which is a real one: comparing the bytes decides.
    let ahead = at;
    let step: usize = 1;
    let misses: usize = 64;
    let match: usize = source;
    do {
      const here = slot;
      at = ahead;
      ahead += step;
      step = misses >> 6;
      misses++;
      if (ahead > lastStart + 1) return lastLiterals(anchor, end, out);
      match = source + load<u16>(here);
      slot = slotOf(ahead, log);
      store<u16>(here, <u16>(at - source));
    } while (load<u32>(match) != load<u32>(at));
    while (at > anchor && match > source && load<u8>(at - 1) == load<u8>(match - 1)) {
      at--;
      match--;
    }
    let token = out++;
    const literals = at - anchor;
    if (literals < 15) {
      store<u8>(token, <u8>(literals << 4));
      v128.store(out, v128.load(anchor));
      out += literals;
    } else {
      store<u8>(token, 0xf0);
      out = copyLiterals(anchor, literals, writeLength(out, literals - 15));
    }
    // Matches, one directly after the other as long as they come.
    while (true) {
      store<u16>(out, <u16>(at - match));
      const from = at + 4;
      at = extendMatch(from, match + 4, matchLimit);
      const extra = at - from;
      if (extra < 15) {
        store<u8>(token, load<u8>(token) | <u8>extra);
        out += 2;
      } else {
        store<u8>(token, load<u8>(token) | 15);
        out = writeLength(out + 2, extra - 15);
      }
      anchor = at;
      if (at > lastStart) return lastLiterals(anchor, end, out);
      store<u16>(slotOf(at - 2, log), <u16>(at - 2 - source));
      const here = slotOf(at, log);
      match = source + load<u16>(here);
      store<u16>(here, <u16>(at - source));
      if (load<u32>(match) != load<u32>(at)) break;
      token = out++;
      store<u8>(token, 0);
    }
    at++;
    slot = slotOf(at, log);
  }
}

// @ts-ignore: decorator
@inline
function clearHashes(bytes: usize): void {
  const zero = i64x2.splat(0);
  for (let at = HASHES; at < HASHES + bytes; at += 64) {
    v128.store(at, zero);
    v128.store(at, zero, 16);
    v128.store(at, zero, 32);
    v128.store(at, zero, 48);
  }
}

/** Where two equal runs stop being equal, counted in the first. */
// @ts-ignore: decorator
@inline
function extendMatch(at: usize, match: usize, limit: usize): usize {
  while (at + 8 <= limit) {
    const difference = load<u64>(at) ^ load<u64>(match);
    if (difference != 0) return at + <usize>(ctz(difference) >> 3);
    at += 8;
    match += 8;
  }
  while (at < limit && load<u8>(at) == load<u8>(match)) {
    at++;
    match++;
  }
  return at;
}

/** Writes the part of a length that did not fit into the token. */
// @ts-ignore: decorator
@inline
function writeLength(out: usize, rest: usize): usize {
  for (; rest >= 255; rest -= 255) store<u8>(out++, 255);
  store<u8>(out++, <u8>rest);
  return out;
}

// @ts-ignore: decorator
@inline
function copyLiterals(from: usize, length: usize, out: usize): usize {
  for (let i: usize = 0; i < length; i += 16) v128.store(out + i, v128.load(from + i));
  return out + length;
}

function lastLiterals(anchor: usize, end: usize, out: usize): usize {
  const literals = end - anchor;
  if (literals < 15) {
    store<u8>(out++, <u8>(literals << 4));
  } else {
    store<u8>(out++, 0xf0);
    out = writeLength(out, literals - 15);
  }
  return copyLiterals(anchor, literals, out);
}

// ----- LZ4, decompressing ---------------------------------------------------------------------------

/**
 * Decodes a block of untrusted bytes into exactly `out`..`outEnd`. False if it is corrupt. May write up to 48 bytes
 * past `outEnd` and read past `end`; the host keeps both inside the memory. After every advance `out` is compared
 * with `outEnd`, because an unsigned difference would hide that it has passed.
 */
function decompress(at: usize, end: usize, start: usize, outEnd: usize): bool {
  let out = start;
  while (at < end) {
    const token: u32 = load<u8>(at++);
    let literals: usize = token >> 4;
    if (literals < 15) {
      v128.store(out, v128.load(at));
    } else {
      let byte: usize = 255;
      while (byte == 255) {
        if (at >= end) return false;
        byte = load<u8>(at++);
        literals += byte;
      }
      if (literals > end - at || literals > outEnd - out) return false;
      copyLiterals(at, literals, out);
    }
    at += literals;
    out += literals;
    if (at >= end) return at == end && out == outEnd;
    const distance: usize = load<u16>(at);
    at += 2;
    if (at > end || out > outEnd || distance == 0 || distance > out - start) return false;
    let match = out - distance;
    let length: usize = token & 15;
    if (length < 15 && distance >= 16) {
      // 4 to 18 bytes.
      v128.store(out, v128.load(match));
      store<u32>(out, load<u32>(match, 16), 16);
      out += length + 4;
      if (out > outEnd) return false;
      continue;
    }
    if (length == 15) {
      let byte: usize = 255;
      while (byte == 255) {
        if (at >= end) return false;
        byte = load<u8>(at++);
        length += byte;
      }
    }
    length += 4;
    if (length > outEnd - out) return false;
    const matchEnd = out + length;
    if (distance >= 16) {
      do {
        v128.store(out, v128.load(match));
        v128.store(out, v128.load(match, 16), 16);
        out += 32;
        match += 32;
      } while (out < matchEnd);
    } else {
      // The source runs into what is written: repeat it within a vector, which is then stored again and again.
      const repeat = i8x16.swizzle(v128.load(match), v128.load(REPEATS + (distance << 4)));
      const stride: usize = load<u8>(STRIDES + distance);
      do {
        v128.store(out, repeat);
        out += stride;
      } while (out < matchEnd);
    }
    out = matchEnd;
  }
  return false;
}
