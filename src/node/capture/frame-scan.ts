// Reads committed frames from the WAL and checks each: salts, running checksum, and at the end that the checksum is
// the one in the wal-index. That ties file and index together.
import { viewOf } from "../../core/base/bytes.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import {
  decodeWalFrameHeader,
  decodeWalHeader,
  walFrameHeaderSizeBytes,
  walFrameOffset,
  walHeaderSizeBytes,
  type WalFrameHeader,
  type WalHeader,
} from "../../core/sqlite/wal.ts";
import { WalChecksum } from "../../core/sqlite/wal-checksum.ts";
import type { WalIndex } from "../../core/sqlite/wal-index.ts";
import type { CapturePosition } from "./capture-types.ts";
import type { DatabaseFiles } from "./database-files.ts";
import type { CapturedTransaction } from "./pending.ts";

export interface ScanRequest {
  /** What is committed. */
  readonly index: WalIndex;
  /** Frames after this one are read. Same generation as the index. */
  readonly start: CapturePosition;
  /** Stop at the first commit at or past so many frames. */
  readonly maxFrames: number;
}

export interface CommittedFrames {
  readonly transactions: readonly CapturedTransaction[];
  /** The last frame read; always ends a transaction. */
  readonly end: CapturePosition;
}

const chunkSizeBytes = 1 << 20;
/** Bytes of a frame's header that its checksum covers. */
const summedHeaderWords = 2;
const headerWords = walFrameHeaderSizeBytes / 4;

/** Reads and checks the frames after `start`. Throws `capture/gap` if they are not what the index says. */
export function readCommittedFrames(files: DatabaseFiles, request: ScanRequest): CommittedFrames {
  const { index, start, maxFrames } = request;
  if (index.frameCount === start.frame) return { transactions: [], end: start };
  const { pageSize } = files;
  const frameSizeBytes = walFrameHeaderSizeBytes + pageSize;
  const frameWords = frameSizeBytes / 4;
  const total = index.frameCount - start.frame;
  const perChunk = Math.min(total, Math.max(1, Math.floor(chunkSizeBytes / frameSizeBytes)));
  const chunk = new Uint8Array(perChunk * frameSizeBytes);
  const words = new Int32Array(chunk.buffer);
  const view = viewOf(chunk);

  const sum = startingChecksum(files, request);
  const pgnos = new Uint32Array(total);
  const transactions: CapturedTransaction[] = [];
  let noted = 0;
  for (let done = 0; done < total;) {
    const count = Math.min(perChunk, total - done);
    const bytes = chunk.subarray(0, count * frameSizeBytes);
    const read = files.readWal(bytes, walFrameOffset(start.frame + done + 1, pageSize));
    if (read < bytes.length) throw broken(files, start.frame + done + 1, "the file ends before it");
    for (let k = 0; k < count; k++) {
      const frame = start.frame + done + k + 1;
      const at = k * frameSizeBytes;
      const salt1 = view.getUint32(at + 8);
      const salt2 = view.getUint32(at + 12);
      if (salt1 !== index.salt1 || salt2 !== index.salt2) {
        throw broken(files, frame, "it has other salts");
      }
      sum.addWords(words, k * frameWords, k * frameWords + summedHeaderWords);
      sum.addWords(words, k * frameWords + headerWords, (k + 1) * frameWords);
      if (sum.sum1 !== view.getUint32(at + 16) || sum.sum2 !== view.getUint32(at + 20)) {
        throw broken(files, frame, "its checksum does not match");
      }
      pgnos[done + k] = view.getUint32(at);
      const commit = view.getUint32(at + 4);
      if (commit === 0) continue;
      const next = done + k + 1;
      transactions.push({
        pgnos: pgnos.subarray(noted, next),
        firstFrame: start.frame + noted + 1,
        commit,
      });
      noted = next;
      if (noted >= maxFrames) return { transactions, end: endAt(request, noted, sum) };
    }
    done += count;
  }
  if (noted !== total) throw broken(files, index.frameCount, "it does not end a transaction");
  if (sum.sum1 !== index.checksum1 || sum.sum2 !== index.checksum2) {
    throw broken(files, index.frameCount, "the wal-index has another checksum for it");
  }
  return { transactions, end: endAt(request, noted, sum) };
}

/** Reads the header of one frame; `undefined` beyond the end of the file. */
export function readFrameHeader(files: DatabaseFiles, frame: number): WalFrameHeader | undefined {
  const bytes = new Uint8Array(walFrameHeaderSizeBytes);
  const read = files.readWal(bytes, walFrameOffset(frame, files.pageSize));
  return read < bytes.length ? undefined : decodeWalFrameHeader(bytes);
}

/** The checksum that the first frame to read continues from. */
function startingChecksum(files: DatabaseFiles, { index, start }: ScanRequest): WalChecksum {
  if (start.frame > 0) {
    return new WalChecksum(index.checksumOrder, start.checksum1, start.checksum2);
  }
  const bytes = new Uint8Array(walHeaderSizeBytes);
  files.readWal(bytes, 0);
  const header = headerOf(files, bytes);
  const isSame =
    header.salt1 === index.salt1 &&
    header.salt2 === index.salt2 &&
    header.pageSize === files.pageSize &&
    header.checksumOrder === index.checksumOrder;
  if (!isSame) throw broken(files, 1, "the header before it belongs to another generation");
  return new WalChecksum(header.checksumOrder, header.checksum1, header.checksum2);
}

function headerOf(files: DatabaseFiles, bytes: Uint8Array): WalHeader {
  try {
    return decodeWalHeader(bytes);
  } catch (error) {
    throw broken(files, 1, `the header before it cannot be read (${messageOf(error)})`);
  }
}

function endAt({ start, index }: ScanRequest, count: number, sum: WalChecksum): CapturePosition {
  return {
    salt1: index.salt1,
    salt2: index.salt2,
    frame: start.frame + count,
    checksum1: sum.sum1,
    checksum2: sum.sum2,
  };
}

function broken(files: DatabaseFiles, frame: number, why: string): HeadwaterError {
  return new HeadwaterError(
    "capture/gap",
    `Frame ${frame} in the WAL of ${files.path} is committed but not as it should be: ${why}. ` +
      "Capture compares the whole database next; if this comes back, run PRAGMA integrity_check.",
    { data: { path: files.path, frame } },
  );
}
