// Reads the entries of a page index, part of the kernel (kernel.as.ts). Format: docs/formats/ltx.md, "Page index". The
// same in TypeScript: index-columns.ts.

/** What reading has found: where it stopped, what is wrong there, of which page, and the sizes of the frames. */
const STOP: usize = 0x410;
const PROBLEM: usize = 0x414;
const PGNO: usize = 0x418;
const SMALLEST: usize = 0x420;
const LARGEST: usize = 0x424;

const NO_END: u32 = 1;
const MALFORMED: u32 = 2;
const MISPLACED: u32 = 3;

const MAX_VARINT_BYTES: u64 = 8;
const MAX_SAFE: u64 = 0x1fffffffffffff;
const MAX_U32: u64 = 0xffffffff;
const MAX_OFFSET: u64 = 0xffffffffffff;

/** Where the next number begins, or the one that is none. */
let next: usize = 0;
/** What is wrong there. */
let problem: u32 = 0;

/**
 * Reads entries from `at` on into columns, which have room for as many as fit between there and `end`; `limit`: no frame
 * ends after it. Returns how many. Stops after the zero behind the last entry, or at the first that is wrong.
 */
export function readIndex(
  at: usize, end: usize, limit: u64, pgnos: usize, offsetsLow: usize, sizes: usize, offsetsHigh: usize,
): u32 {
  let count: u32 = 0;
  let lastPgno: u64 = 0;
  let lastEnd: u64 = 0;
  let smallest: u64 = MAX_U32;
  let largest: u64 = 0;
  next = at;
  problem = 0;
  for (;;) {
    const entry = next;
    const pgno = varint(end);
    if (pgno === 0) break;
    const offset = varint(end);
    const size = varint(end);
    if (problem !== 0) break;
    const isPlaced =
      pgno > lastPgno && pgno <= MAX_U32 && size <= MAX_U32 &&
      offset >= lastEnd && offset <= MAX_OFFSET && offset + size <= limit;
    if (!isPlaced) {
      next = entry;
      problem = MISPLACED;
      store<f64>(PGNO, <f64>pgno);
      break;
    }
    store<u32>(pgnos, <u32>pgno);
    store<u32>(offsetsLow, <u32>offset);
    store<u32>(sizes, <u32>size);
    store<u16>(offsetsHigh, <u16>(offset >> 32));
    pgnos += 4;
    offsetsLow += 4;
    sizes += 4;
    offsetsHigh += 2;
    if (size < smallest) smallest = size;
    if (size > largest) largest = size;
    count++;
    lastPgno = pgno;
    lastEnd = offset + size;
  }
  store<u32>(STOP, <u32>next);
  store<u32>(PROBLEM, problem);
  store<u32>(SMALLEST, <u32>smallest);
  store<u32>(LARGEST, <u32>largest);
  return count;
}

/** The number at `next`, in shortest form, and moves on; 0 if it is none, and from then on. */
function varint(end: usize): u64 {
  if (problem !== 0) return 0;
  let value: u64 = 0;
  let at = next;
  for (let shift: u64 = 0; shift < 7 * MAX_VARINT_BYTES; shift += 7) {
    if (at >= end) {
      problem = NO_END;
      return 0;
    }
    const byte: u64 = load<u8>(at++);
    value |= (byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    if ((byte === 0 && shift > 0) || value > MAX_SAFE) break;
    next = at;
    return value;
  }
  problem = MALFORMED;
  return 0;
}
