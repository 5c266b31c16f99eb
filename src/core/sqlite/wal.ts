// The write-ahead log: a 32-byte header, then frames of 24 bytes and one page (https://www.sqlite.org/fileformat2.html
// section 4). Header fields are big-endian whatever the order of the checksum words is. Which frames are committed
// is not decided here but by the wal-index.
import { assert } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { isPageSize } from "../base/page.ts";
import { readField, writeField, type ByteOrder, type Field } from "./layout.ts";
import { WalChecksum } from "./wal-checksum.ts";

/** Size of the WAL's header in bytes. */
export const walHeaderSizeBytes = 32;
/** Size of the header of each frame in bytes; a page follows. */
export const walFrameHeaderSizeBytes = 24;
/** Format version in the WAL's and the wal-index's header. */
export const walFormatVersion = 3_007_000;

const littleEndianMagic = 0x377f0682;
const bigEndianMagic = 0x377f0683;
/** Bytes of the WAL header that its checksum covers. */
const headerSummedBytes = 24;

const headerLayout = {
  magic: { offset: 0, sizeBytes: 4 },
  version: { offset: 4, sizeBytes: 4 },
  pageSize: { offset: 8, sizeBytes: 4 },
  checkpointSequence: { offset: 12, sizeBytes: 4 },
  salt1: { offset: 16, sizeBytes: 4 },
  salt2: { offset: 20, sizeBytes: 4 },
  checksum1: { offset: 24, sizeBytes: 4 },
  checksum2: { offset: 28, sizeBytes: 4 },
} as const satisfies Readonly<Record<string, Field>>;

const frameLayout = {
  pgno: { offset: 0, sizeBytes: 4 },
  commit: { offset: 4, sizeBytes: 4 },
  salt1: { offset: 8, sizeBytes: 4 },
  salt2: { offset: 12, sizeBytes: 4 },
  checksum1: { offset: 16, sizeBytes: 4 },
  checksum2: { offset: 20, sizeBytes: 4 },
} as const satisfies Readonly<Record<string, Field>>;

/** The header of a WAL; numbers are u32. */
export interface WalHeader {
  /** Order of the words that checksums are made of. */
  readonly checksumOrder: ByteOrder;
  readonly pageSize: number;
  readonly checkpointSequence: number;
  readonly salt1: number;
  readonly salt2: number;
  /** Checksum of the header, from which the first frame's continues. */
  readonly checksum1: number;
  readonly checksum2: number;
}

/** The header of a frame; numbers are u32. */
export interface WalFrameHeader {
  readonly pgno: number;
  /** Database size in pages if the frame ends a transaction, else 0. */
  readonly commit: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly checksum1: number;
  readonly checksum2: number;
}

/** Byte position of frame `frame` (counted from 1) in the WAL. */
export function walFrameOffset(frame: number, pageSize: number): number {
  return walHeaderSizeBytes + (frame - 1) * (walFrameHeaderSizeBytes + pageSize);
}

/** Decodes and checks the header of a WAL. Throws `sqlite/invalid`. */
export function decodeWalHeader(bytes: Uint8Array): WalHeader {
  if (bytes.length < walHeaderSizeBytes) throw invalid(`it has ${bytes.length} bytes`);
  const view = viewOf(bytes);
  const magic = readField(view, headerLayout.magic);
  if (magic !== littleEndianMagic && magic !== bigEndianMagic) {
    throw invalid(`it begins with 0x${magic.toString(16)}`);
  }
  const version = readField(view, headerLayout.version);
  if (version !== walFormatVersion) throw invalid(`its format version is ${version}`);
  const pageSize = readField(view, headerLayout.pageSize);
  if (!isPageSize(pageSize)) throw invalid(`its page size is ${pageSize}`);
  const header: WalHeader = {
    checksumOrder: magic === bigEndianMagic ? "big" : "little",
    pageSize,
    checkpointSequence: readField(view, headerLayout.checkpointSequence),
    salt1: readField(view, headerLayout.salt1),
    salt2: readField(view, headerLayout.salt2),
    checksum1: readField(view, headerLayout.checksum1),
    checksum2: readField(view, headerLayout.checksum2),
  };
  const sum = new WalChecksum(header.checksumOrder);
  sum.add(bytes.subarray(0, headerSummedBytes));
  if (sum.sum1 !== header.checksum1 || sum.sum2 !== header.checksum2) {
    throw invalid("its checksum does not match");
  }
  return header;
}

/** Encodes a header into 32 new bytes and gives it its checksum, which `header` need not have. */
export function encodeWalHeader(
  header: Omit<WalHeader, "checksum1" | "checksum2">,
): Uint8Array<ArrayBuffer> {
  assert(isPageSize(header.pageSize), `WAL header with page size ${header.pageSize}`);
  const bytes = new Uint8Array(walHeaderSizeBytes);
  const view = viewOf(bytes);
  const magic = header.checksumOrder === "big" ? bigEndianMagic : littleEndianMagic;
  writeField(view, headerLayout.magic, magic);
  writeField(view, headerLayout.version, walFormatVersion);
  writeField(view, headerLayout.pageSize, header.pageSize);
  writeField(view, headerLayout.checkpointSequence, header.checkpointSequence);
  writeField(view, headerLayout.salt1, header.salt1);
  writeField(view, headerLayout.salt2, header.salt2);
  const sum = new WalChecksum(header.checksumOrder);
  sum.add(bytes.subarray(0, headerSummedBytes));
  writeField(view, headerLayout.checksum1, sum.sum1);
  writeField(view, headerLayout.checksum2, sum.sum2);
  return bytes;
}

/** Decodes the frame header at `offset`. Any 24 bytes decode; whether they are a frame, salts and checksum tell. */
export function decodeWalFrameHeader(bytes: Uint8Array, offset = 0): WalFrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, walFrameHeaderSizeBytes);
  return {
    pgno: readField(view, frameLayout.pgno),
    commit: readField(view, frameLayout.commit),
    salt1: readField(view, frameLayout.salt1),
    salt2: readField(view, frameLayout.salt2),
    checksum1: readField(view, frameLayout.checksum1),
    checksum2: readField(view, frameLayout.checksum2),
  };
}

/** Encodes a frame header, without its page, into 24 new bytes. The checksum is taken as given. */
export function encodeWalFrameHeader(frame: WalFrameHeader): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(walFrameHeaderSizeBytes);
  const view = viewOf(bytes);
  writeField(view, frameLayout.pgno, frame.pgno);
  writeField(view, frameLayout.commit, frame.commit);
  writeField(view, frameLayout.salt1, frame.salt1);
  writeField(view, frameLayout.salt2, frame.salt2);
  writeField(view, frameLayout.checksum1, frame.checksum1);
  writeField(view, frameLayout.checksum2, frame.checksum2);
  return bytes;
}

function invalid(why: string): HeadwaterError {
  return new HeadwaterError(
    "sqlite/invalid",
    `The file is not a SQLite WAL: ${why}. Check that it belongs to a database in WAL mode.`,
  );
}
