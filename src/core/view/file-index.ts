// What a view needs of a file without downloading it: its header and its page index, with one read of its end, which is
// sized to hold the whole index, and one of its start unless a manifest has told what stands there. The start of a full image
// is read with its first pages: the schema, and as a rule the roots of the first tables, which every reader wants next.
import type { Waiting } from "../base/async.ts";
import { concatBytes } from "../base/bytes.ts";
import { dataPageCount, lockPgno } from "../base/page.ts";
import type { Codec } from "../codec/codec.ts";
import { frameHeaderSizeBytes, maxBlockSizeBytes } from "../codec/kernel-areas.ts";
import { ltxFault } from "../ltx/fault.ts";
import { type LtxHeader, decodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import { type PageIndex, readPageIndex } from "../ltx/page-index.ts";
import { decodeTrailer, ltxTrailerSizeBytes } from "../ltx/trailer.ts";
import { checkFileIdentity } from "../replica/chain-state.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ViewFile } from "./file-table.ts";
import type { FileState } from "./page-map.ts";
import { readRange } from "./read-range.ts";

/** Smallest read of a file's end, if its index is of unknown size. Smaller files are read whole, their frames with them. */
export const minTailBytes = 64 * 1024;
/** First bytes of a full image. */
const imageStartBytes = 32 * 1024;
/** An index takes 0.3 % of a file whose pages of 4 KiB compress by a third; of smaller ones it may need one more read. */
const tailShare = 0.004;
/** Longest entry: page number, offset and size as varints. */
const maxEntryBytes = 5 + 8 + 3;
/** Its end mark and its length. */
const indexEndBytes = 1 + 8;

export interface FileIndex {
  /** `proof` is unknown where a manifest told only the rest. */
  readonly head: FileState & Pick<LtxHeader, "proof">;
  readonly index: PageIndex;
  /** As the trailer has it. */
  readonly fileChecksum: bigint;
  /** The first bytes of the file, as far as they were read: all of a small file. */
  readonly start: Uint8Array;
}

export interface ReadIndexOptions extends Waiting {
  readonly codec: Codec;
  /** Of the database; `undefined`: not known yet. */
  readonly pageSize: number | undefined;
}

/**
 * Reads header and index and checks them against each other, against the file's name, and against the page size of the
 * database where it is known. Not the file's checksum, which covers all its bytes. Throws `ltx/*`, `replica/foreign-file`,
 * `store/changed` if the file is gone, and what the store throws.
 */
export async function readFileIndex(
  store: ObjectStore,
  file: ViewFile,
  { codec, pageSize, signal }: ReadIndexOptions,
): Promise<FileIndex> {
  const tailBytes = firstTailBytes(file);
  const isWhole = tailBytes === file.sizeBytes;
  const readsHeader = file.inside === undefined && !isWhole;
  const [tail, start] = await Promise.all([
    readTail(store, file, { tailBytes, signal }),
    readsHeader ? readStart(store, file, { signal }) : new Uint8Array(0),
  ]);
  const head = headOf(file, isWhole ? tail : start);
  checkFileIdentity(file, head, pageSize);
  const { commit } = head;
  const { index, bytes } = await readWhole(store, file, { codec, tail, commit, signal });
  checkIndex(index, head, file.key);
  const trailer = decodeTrailer(bytes.subarray(bytes.length - ltxTrailerSizeBytes));
  return {
    head,
    index,
    fileChecksum: trailer.fileChecksum,
    start: isWhole ? tail : start,
  };
}

function firstTailBytes({ sizeBytes, inside }: ViewFile): number {
  if (sizeBytes <= minTailBytes) return sizeBytes;
  const expected =
    inside === undefined
      ? Math.ceil(Math.max(minTailBytes, tailShare * sizeBytes))
      : inside.indexSizeBytes + ltxTrailerSizeBytes;
  return Math.min(sizeBytes, expected);
}

function readTail(
  store: ObjectStore,
  file: ViewFile,
  { tailBytes, signal }: Waiting & { readonly tailBytes: number },
): Promise<Uint8Array> {
  return readRange(store, file, { offset: file.sizeBytes - tailBytes, length: tailBytes, signal });
}

function readStart(store: ObjectStore, file: ViewFile, { signal }: Waiting): Promise<Uint8Array> {
  const length = file.minTxid === 1n ? imageStartBytes : ltxHeaderSizeBytes;
  return readRange(store, file, { offset: 0, length, signal });
}

function headOf(file: ViewFile, start: Uint8Array): FileIndex["head"] {
  if (start.length > 0) return decodeHeader(start.subarray(0, ltxHeaderSizeBytes), file.key);
  const { minTxid, maxTxid, inside } = file;
  if (inside === undefined) throw new Error("Headwater bug: a header was not read");
  return { ...inside, minTxid, maxTxid, proof: inside.proof };
}

interface TailOptions extends Waiting {
  readonly codec: Codec;
  readonly tail: Uint8Array;
  readonly commit: number;
}

/** The index, and the end of the file that holds all of it. */
async function readWhole(
  store: ObjectStore,
  file: ViewFile,
  { codec, tail, commit, signal }: TailOptions,
): Promise<{ readonly index: PageIndex; readonly bytes: Uint8Array }> {
  const { key: name, sizeBytes: fileSizeBytes } = file;
  const found = readPageIndex(codec, tail, { name, fileSizeBytes });
  if (found.kind === "index") return { index: found.index, bytes: tail };
  const { tailSizeBytes } = found;
  if (tailSizeBytes > commit * maxEntryBytes + indexEndBytes + ltxTrailerSizeBytes) {
    const place = { name, offset: fileSizeBytes - tailSizeBytes };
    throw ltxFault("ltx/invalid", place, "the page index is longer than the database has pages");
  }
  const range = { offset: fileSizeBytes - tailSizeBytes, length: tailSizeBytes - tail.length };
  const bytes = concatBytes([await readRange(store, file, { ...range, signal }), tail]);
  const again = readPageIndex(codec, bytes, { name, fileSizeBytes });
  if (again.kind === "index") return { index: again.index, bytes };
  const place = { name, offset: fileSizeBytes - tail.length };
  throw ltxFault("ltx/invalid", place, "the page index changed while it was read");
}

/** What the index cannot tell by itself: that its pages are those of the database. */
function checkIndex(
  index: PageIndex,
  { pageSize, commit, minTxid }: FileState,
  name: string,
): void {
  const row = wrongRow(index, { pageSize, commit });
  if (row !== undefined) {
    const { pgno, offset } = index.at(row);
    throw ltxFault("ltx/invalid", { name, offset }, `page ${pgno} of the index cannot be there`);
  }
  const expected = dataPageCount(commit, pageSize);
  if (minTxid === 1n && index.count !== expected) {
    const problem = `the full image holds ${index.count} of ${expected} pages`;
    throw ltxFault("ltx/order", { name, offset: 0 }, problem);
  }
}

/** Looks at columns as wholes: there are as many rows as pages. */
function wrongRow(
  index: PageIndex,
  { pageSize, commit }: Pick<FileState, "pageSize" | "commit">,
): number | undefined {
  const { count, pgnos, sizes, smallestBytes, largestBytes } = index.columns;
  if (count === 0) return undefined;
  const maxFrameBytes = frameHeaderSizeBytes + maxBlockSizeBytes(pageSize);
  if (index.at(0).offset < ltxHeaderSizeBytes) return 0;
  if (index.at(count - 1).pgno > commit) return count - 1;
  if (smallestBytes === 0 || largestBytes > maxFrameBytes) {
    return sizes.findIndex((sizeBytes) => sizeBytes === 0 || sizeBytes > maxFrameBytes);
  }
  const lockRow = pgnos.indexOf(lockPgno(pageSize));
  return lockRow === -1 ? undefined : lockRow;
}
