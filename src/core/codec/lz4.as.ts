// LZ4 blocks, part of the kernel (kernel.as.ts). Format:
// https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md, in short in lz4-block.ts.
//
// Copies are wide and may write up to 15 bytes too far; what follows overwrites them.

/** 16 vectors: lane j of vector n is j mod n. Then 16 bytes: the largest multiple of n up to 16. */
const REPEATS: usize = 0x1000;
const STRIDES: usize = 0x1100;
/** Up to 8192 u16 positions. */
const HASHES: usize = 0x8000;

/** Builds the tables that `decompress` repeats short runs with. */
export function initRepeats(): void {
  for (let n: u32 = 1; n < 16; n++) {
    for (let lane: u32 = 0; lane < 16; lane++) store<u8>(REPEATS + n * 16 + lane, <u8>(lane % n));
    store<u8>(STRIDES + n, <u8>((16 / n) * n));
  }
}

// ----- compressing ----------------------------------------------------------------------------------

/** Compresses `length` bytes; returns where the block ends. A function of these bytes alone. */
export function compress(source: usize, length: u32, out: usize): usize {
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

// ----- decompressing --------------------------------------------------------------------------------

/**
 * Decodes a block of untrusted bytes into exactly `out`..`outEnd`. False if it is corrupt. May write up to 48 bytes
 * past `outEnd` and read past `end`; the host keeps both inside the memory. After every advance `out` is compared
 * with `outEnd`, because an unsigned difference would hide that it has passed.
 */
export function decompress(at: usize, end: usize, start: usize, outEnd: usize): bool {
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
