// LZ4 blocks in plain TypeScript (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md). A block is a
// list of sequences: token (literal length, match length - 4), literals, 2-byte offset back into the output.
// The last sequence has literals only; by the format's rules it holds at least 5 bytes and no match starts
// in the last 12, so that every decoder accepts what we write.

const minMatch = 4;
const lastLiterals = 5;
const matchMargin = 12;
const hashLog = 12;
/** From here on one call is faster than a loop. */
const bulkCopyBytes = 48;
/** Failed probes, as a power of two, before the search takes longer steps. */
const skipTrigger = 6;

const table = new Uint16Array(1 << hashLog);

/**
 * Compresses `length` bytes (at most 65536) at `from` in `source` to `at` in `target`; returns where the block
 * ends. `target` must have room for `blockBoundBytes(length)`. The result depends on these bytes alone.
 */
export function compressBlock(
  source: DataView,
  from: number,
  length: number,
  target: DataView,
  at: number,
): number {
  const end = from + length;
  const matchLimit = end - lastLiterals;
  const searchLimit = end - matchMargin;
  let anchor = from;
  let out = at;
  table.fill(0);
  let position = from + 1;
  let misses = 1 << skipTrigger;
  while (position < searchLimit) {
    const four = source.getUint32(position, true);
    const slot = Math.imul(four, 0x9e37_79b1) >>> (32 - hashLog);
    // An empty slot names position 0, which is a real position: the comparison below decides.
    let candidate = from + (table[slot] ?? 0);
    table[slot] = position - from;
    if (candidate >= position || source.getUint32(candidate, true) !== four) {
      position += misses++ >> skipTrigger;
      continue;
    }
    misses = 1 << skipTrigger;
    while (
      position > anchor &&
      candidate > from &&
      source.getUint8(position - 1) === source.getUint8(candidate - 1)
    ) {
      position--;
      candidate--;
    }
    let matchEnd = position + minMatch;
    const distance = position - candidate;
    while (
      matchEnd < matchLimit &&
      source.getUint8(matchEnd) === source.getUint8(matchEnd - distance)
    ) {
      matchEnd++;
    }
    out = writeLiterals(source, anchor, position, target, out, matchEnd - position - minMatch);
    target.setUint16(out, distance, true);
    out = writeLength(target, out + 2, matchEnd - position - minMatch);
    position = matchEnd;
    anchor = matchEnd;
  }
  return writeLiterals(source, anchor, end, target, out, 0);
}

/** Writes a token and its literals; the token's low half is `extra`, capped at 15. */
function writeLiterals(
  source: DataView,
  from: number,
  to: number,
  target: DataView,
  at: number,
  extra: number,
): number {
  const length = to - from;
  target.setUint8(at, (Math.min(length, 15) << 4) | Math.min(extra, 15));
  let out = writeLength(target, at + 1, length);
  for (let i = from; i < to; i++) target.setUint8(out++, source.getUint8(i));
  return out;
}

/** Writes what of a length did not fit into its half of the token. */
function writeLength(target: DataView, at: number, length: number): number {
  let rest = length - 15;
  if (rest < 0) return at;
  for (; rest >= 255; rest -= 255) target.setUint8(at++, 255);
  target.setUint8(at++, rest);
  return at;
}

/**
 * Decodes the block at `from`..`to` of `source` into `target` at `at`, never beyond `limit`. Matches reach back
 * to `start` at most. Returns where the output ends, or -1 if the block is corrupt.
 */
export function decompressBlock(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  { start, at, limit }: { readonly start: number; readonly at: number; readonly limit: number },
): number {
  let input = from;
  let out = at;
  while (input < to) {
    const token = source[input++] ?? 0;
    let literals = token >> 4;
    if (literals === 15) {
      let byte = 255;
      while (byte === 255) {
        if (input >= to) return -1;
        byte = source[input++] ?? 0;
        literals += byte;
      }
    }
    if (literals > to - input || literals > limit - out) return -1;
    if (literals >= bulkCopyBytes) {
      target.set(source.subarray(input, input + literals), out);
      input += literals;
      out += literals;
    } else {
      for (let i = 0; i < literals; i++) target[out++] = source[input++] ?? 0;
    }
    if (input === to) return out;
    if (to - input < 2) return -1;
    const distance = (source[input] ?? 0) | ((source[input + 1] ?? 0) << 8);
    input += 2;
    if (distance === 0 || distance > out - start) return -1;
    let length = token & 15;
    if (length === 15) {
      let byte = 255;
      while (byte === 255) {
        if (input >= to) return -1;
        byte = source[input++] ?? 0;
        length += byte;
      }
    }
    length += minMatch;
    if (length > limit - out) return -1;
    // Byte by byte: the source may overlap what is being written.
    for (let i = 0; i < length; i++, out++) target[out] = target[out - distance] ?? 0;
  }
  // A block must end with literals.
  return -1;
}
