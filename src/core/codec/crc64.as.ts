// CRC-64/ISO without tables or multiplications, part of the kernel (kernel.as.ts).
//
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
export function step32(state: u64, word: u32): u64 {
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
export function crc(state: u64, at: usize, length: u32): u64 {
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
