// The codec's inner loops in AssemblyScript, compiled to WebAssembly with SIMD by `npm run build:kernel`:
// CRC-64/ISO, LZ4 blocks, page checksums, a batch of pages per call. `wasm-codec.ts` owns the memory and has
// checked every length; nothing here allocates, and only `decompress` meets bytes that nobody has proved.
//
// Memory: addresses below are fixed; from 0x10000 on it is laid out by the host.
import { crc, step32 } from "./crc64.as";
import { compress, decompress, initRepeats } from "./lz4.as";

export { readIndex } from "./page-index.as";

/** Page size (u32). */
const PAGE_SIZE: usize = 0x400;
// page-index.as.ts tells what it has found from 0x410 on.
/** 16 rows of 16 u64: row t, column v is `v << 4t` after a page of zeros. */
const MULTIPLES: usize = 0x800;
// lz4.as.ts has its tables from 0x1000 on and from 0x8000 on.

const ONES: u64 = 0xffffffffffffffff;
const CHECKSUM_FLAG: u64 = 0x8000000000000000;
const FRAME_HEADER: usize = 10;
/** A file's running values, at an address that every call is given: its raw CRC (u64), XOR of its pages' checksums (u64). */
const PAGES_XOR: usize = 8;

// ----- set-up ---------------------------------------------------------------------------------------

/** Builds the tables in fresh memory, which is all zeros. `zeros` points to a page of it. */
export function init(pageSize: u32, zeros: usize): void {
  store<u32>(PAGE_SIZE, pageSize);
  initRepeats();
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
}

/** Starts a new file. */
export function reset(file: usize): void {
  store<u64>(file, ONES);
  store<u64>(file, 0, PAGES_XOR);
}

// ----- batches --------------------------------------------------------------------------------------

/** Adds bytes to the file's CRC. */
export function hashBytes(file: usize, at: usize, length: u32): void {
  store<u64>(file, crc(load<u64>(file), at, length));
}

/** Compresses `count` pages into frames at `out`, hashes them, and returns where the frames end. */
export function encodePages(
  file: usize, pgnos: usize, pages: usize, count: u32, out: usize, checksums: usize, contents: usize,
): usize {
  const pageSize = load<u32>(PAGE_SIZE);
  for (let i: u32 = 0; i < count; i++) {
    const end = compress(pages, pageSize, out + FRAME_HEADER);
    store<u32>(out, bswap<u32>(load<u32>(pgnos + i * 4)));
    store<u16>(out, 0x0100, 4);
    store<u32>(out, bswap<u32>(<u32>(end - out - FRAME_HEADER)), 6);
    hashPage(file, out, FRAME_HEADER, pages, checksums + i * 8, contents + i * 8);
    out = end;
    pages += pageSize;
  }
  return out;
}

/** Decodes `count` whole frames at `at`; returns how many, fewer if one is corrupt. */
export function decodePages(
  file: usize, at: usize, count: u32, pages: usize, checksums: usize, contents: usize,
): u32 {
  const pageSize = load<u32>(PAGE_SIZE);
  for (let i: u32 = 0; i < count; i++) {
    const block = at + FRAME_HEADER;
    const end = block + bswap<u32>(load<u32>(at, 6));
    if (!decompress(block, end, pages, pages + pageSize)) return i;
    hashPage(file, at, FRAME_HEADER, pages, checksums + i * 8, contents + i * 8);
    at = end;
    pages += pageSize;
  }
  return count;
}

/**
 * Hashes a frame header of 6 or 10 bytes and its page. One pass over the page serves every checksum it goes into: a page
 * turns state h into F(h) = F(0) ^ (h past a page of zeros), so F(0), its content CRC, is all there is to know of it.
 */
export function hashPage(
  file: usize, head: usize, headSize: usize, page: usize, checksum: usize, content: usize,
): void {
  const before = crc(load<u64>(file), head, <u32>headSize);
  const after = crc(before, page, load<u32>(PAGE_SIZE));
  store<u64>(content, after ^ pastPage(before));
  store<u64>(file, after);
  store<u64>(checksum, addPage(file, head, load<u64>(content)));
}

/** Hashes `count` whole frames at `at` by the content CRCs of their pages; of the frames only the headers are read. */
export function hashFrames(file: usize, at: usize, count: u32, contents: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const content = load<u64>(contents + i * 8);
    const before = crc(load<u64>(file), at, <u32>FRAME_HEADER);
    store<u64>(file, pastPage(before) ^ content);
    addPage(file, at, content);
    at += FRAME_HEADER + bswap<u32>(load<u32>(at, 6));
  }
}

/** Adds to the XOR of the file the checksum of the page whose frame header is at `head`; returns it. */
function addPage(file: usize, head: usize, content: u64): u64 {
  const value = ~(content ^ pastPage(step32(ONES, load<u32>(head)))) | CHECKSUM_FLAG;
  store<u64>(file, load<u64>(file, PAGES_XOR) ^ value, PAGES_XOR);
  return value;
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
