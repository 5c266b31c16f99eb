// The wal-index (the -shm file; https://www.sqlite.org/walformat.html section 2). Its header says what is committed:
// 48 bytes, stored twice, in the byte order of the machine. A writer publishes a commit by writing both copies, so a
// reader that sees two equal copies with a right checksum saw one published state.
import { assert } from "../base/assert.ts";
import { bytesEqual, viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { isPageSize } from "../base/page.ts";
import { hostByteOrder, readField, writeField, type ByteOrder, type Field } from "./layout.ts";
import { WalChecksum } from "./wal-checksum.ts";
import { walFormatVersion } from "./wal.ts";

/** Bytes at the start of the wal-index that hold both headers and the checkpoint information. */
export const walIndexHeaderSizeBytes = 136;

const copySizeBytes = 48;
/** Bytes of a copy that its checksum covers. */
const summedBytes = 40;
const readMarkCount = 5;
/** Frames whose page numbers fit the first block, which also holds the header; then every other block. */
const firstBlockFrames = 4062;
const blockFrames = 4096;
const blockSizeBytes = 32768;

const layout = {
  version: { offset: 0, sizeBytes: 4 },
  changeCounter: { offset: 8, sizeBytes: 4 },
  isInitialised: { offset: 12, sizeBytes: 1 },
  bigEndianChecksums: { offset: 13, sizeBytes: 1 },
  pageSize: { offset: 14, sizeBytes: 2 },
  frameCount: { offset: 16, sizeBytes: 4 },
  commit: { offset: 20, sizeBytes: 4 },
  checksum1: { offset: 24, sizeBytes: 4 },
  checksum2: { offset: 28, sizeBytes: 4 },
  salt1: { offset: 32, sizeBytes: 4 },
  salt2: { offset: 36, sizeBytes: 4 },
  headerChecksum1: { offset: 40, sizeBytes: 4 },
  headerChecksum2: { offset: 44, sizeBytes: 4 },
  backfilledFrames: { offset: 96, sizeBytes: 4 },
  readMark0: { offset: 100, sizeBytes: 4 },
  backfillAttempted: { offset: 128, sizeBytes: 4 },
} as const satisfies Readonly<Record<string, Field>>;

/** One published state of the WAL. Numbers are u32. */
export interface WalIndex {
  /** SQLite's iChange: grows by one with each commit, survives resets of the WAL, restarts when the index is recovered. */
  readonly changeCounter: number;
  readonly checksumOrder: ByteOrder;
  /** 0 after a clean open until the first commit. */
  readonly pageSize: number;
  /** SQLite's mxFrame: the last committed frame. */
  readonly frameCount: number;
  /** SQLite's nPage: database size in pages; 0 after a clean open until the first commit. */
  readonly commit: number;
  /** Running checksum of the last committed frame. */
  readonly checksum1: number;
  readonly checksum2: number;
  /** As in the WAL's header. */
  readonly salt1: number;
  readonly salt2: number;
  /** Frames that are in the database file already. */
  readonly backfilledFrames: number;
  readonly readMarks: readonly number[];
  readonly backfillAttempted: number;
}

/**
 * Decodes the first 136 bytes of a wal-index. `undefined` means torn or not initialised: read again.
 * Throws `sqlite/invalid` for a format this code does not know.
 */
export function decodeWalIndex(bytes: Uint8Array): WalIndex | undefined {
  if (bytes.length < walIndexHeaderSizeBytes) return undefined;
  const first = bytes.subarray(0, copySizeBytes);
  if (!bytesEqual(first, bytes.subarray(copySizeBytes, 2 * copySizeBytes))) return undefined;
  const view = viewOf(bytes);
  const get = (name: keyof typeof layout): number => readField(view, layout[name], hostByteOrder);
  if (get("isInitialised") === 0) return undefined;
  const sum = new WalChecksum(hostByteOrder);
  sum.add(first.subarray(0, summedBytes));
  if (sum.sum1 !== get("headerChecksum1") || sum.sum2 !== get("headerChecksum2")) return undefined;
  if (get("version") !== walFormatVersion) throw invalid(`its version is ${get("version")}`);
  const pageSize = get("pageSize") === 1 ? 65536 : get("pageSize");
  if (pageSize !== 0 && !isPageSize(pageSize)) throw invalid(`its page size is ${pageSize}`);
  return {
    changeCounter: get("changeCounter"),
    checksumOrder: get("bigEndianChecksums") === 0 ? "little" : "big",
    pageSize,
    frameCount: get("frameCount"),
    commit: get("commit"),
    checksum1: get("checksum1"),
    checksum2: get("checksum2"),
    // The salts are copied as bytes from the WAL's header, where they are big-endian.
    salt1: readField(view, layout.salt1),
    salt2: readField(view, layout.salt2),
    backfilledFrames: get("backfilledFrames"),
    readMarks: Array.from({ length: readMarkCount }, (_, i) =>
      readField(view, markField(i), hostByteOrder),
    ),
    backfillAttempted: get("backfillAttempted"),
  };
}

/** Encodes an index as 136 new bytes, both copies equal. */
export function encodeWalIndex(index: WalIndex): Uint8Array<ArrayBuffer> {
  assert(index.pageSize === 0 || isPageSize(index.pageSize), `page size ${index.pageSize}`);
  assert(index.readMarks.length === readMarkCount, "a wal-index has five read marks");
  const bytes = new Uint8Array(walIndexHeaderSizeBytes);
  const view = viewOf(bytes);
  const set = (name: keyof typeof layout, value: number): void =>
    writeField(view, layout[name], value, hostByteOrder);
  set("version", walFormatVersion);
  set("changeCounter", index.changeCounter);
  set("isInitialised", 1);
  set("bigEndianChecksums", index.checksumOrder === "big" ? 1 : 0);
  set("pageSize", index.pageSize === 65536 ? 1 : index.pageSize);
  set("frameCount", index.frameCount);
  set("commit", index.commit);
  set("checksum1", index.checksum1);
  set("checksum2", index.checksum2);
  writeField(view, layout.salt1, index.salt1);
  writeField(view, layout.salt2, index.salt2);
  const sum = new WalChecksum(hostByteOrder);
  sum.add(bytes.subarray(0, summedBytes));
  set("headerChecksum1", sum.sum1);
  set("headerChecksum2", sum.sum2);
  bytes.copyWithin(copySizeBytes, 0, copySizeBytes);
  set("backfilledFrames", index.backfilledFrames);
  index.readMarks.forEach((mark, i) => writeField(view, markField(i), mark, hostByteOrder));
  set("backfillAttempted", index.backfillAttempted);
  return bytes;
}

/** Page numbers of consecutive frames that lie together in the wal-index. */
export interface FramePgnoRun {
  /** Byte position of the first frame's page number (u32, machine order). */
  readonly offset: number;
  readonly count: number;
}

/** Where the wal-index keeps the page number of `frame` (from 1) and of the frames after it in the same block. */
export function walIndexPgnoRun(frame: number): FramePgnoRun {
  const index = frame - 1;
  if (index < firstBlockFrames) {
    return { offset: walIndexHeaderSizeBytes + index * 4, count: firstBlockFrames - index };
  }
  const later = index - firstBlockFrames;
  const inBlock = later % blockFrames;
  const block = 1 + Math.floor(later / blockFrames);
  return { offset: block * blockSizeBytes + inBlock * 4, count: blockFrames - inBlock };
}

function markField(mark: number): Field {
  return { offset: layout.readMark0.offset + 4 * mark, sizeBytes: 4 };
}

function invalid(why: string): HeadwaterError {
  return new HeadwaterError(
    "sqlite/invalid",
    `The -shm file is not a wal-index this version can read: ${why}. A newer SQLite may have written it.`,
  );
}
