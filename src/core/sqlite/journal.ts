// The rollback journal of a database: a header sector, then the old images of the pages that a transaction changes
// (docs/formats/rollback-journal.md; https://www.sqlite.org/fileformat2.html section 3). Whoever opens the database
// while such a file lies beside it writes those pages back first. Big-endian throughout.
import { assert } from "../base/assert.ts";
import { bytesEqual, viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { isPageSize } from "../base/page.ts";
import { readField, writeField, type Field } from "./layout.ts";

/**
 * The header is padded to a sector, so that writing a record can never tear it. SQLite takes a journal shorter than its own
 * idea of a sector for empty, and removes it: no SQLite for Unix expects more than this.
 */
export const journalSectorSizeBytes = 4096;
/** The magic and the fields. */
const headerSizeBytes = 28;
const maxSectorSizeBytes = 65536;
/** Bytes of a record besides its page. */
const journalRecordOverheadBytes = 8;

const magic = Uint8Array.of(0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7);
/** Every so many bytes of a page, counted from its end, one is added to the checksum. */
const checksumStepBytes = 200;

/** Where each field of the header lies, after the magic. */
export const journalHeaderLayout = {
  recordCount: { offset: 8, sizeBytes: 4 },
  nonce: { offset: 12, sizeBytes: 4 },
  pageCount: { offset: 16, sizeBytes: 4 },
  sectorSize: { offset: 20, sizeBytes: 4 },
  pageSize: { offset: 24, sizeBytes: 4 },
} as const satisfies Readonly<Record<string, Field>>;

/** The header of a journal; numbers are u32. */
export interface JournalHeader {
  readonly recordCount: number;
  /** Random: the checksums of the records begin with it, so that those of an older journal do not fit. */
  readonly nonce: number;
  /** Of the database before the transaction. Rolling back gives it this size again. */
  readonly pageCount: number;
  /** Where the first record begins. */
  readonly sectorSize: number;
  readonly pageSize: number;
}

/** A page as it was. */
export interface JournalRecord {
  readonly pgno: number;
  /** Borrowed from what was decoded. */
  readonly page: Uint8Array;
}

/** The header's sector. */
export function encodeJournalHeader(header: JournalHeader): Uint8Array<ArrayBuffer> {
  assert(isPageSize(header.pageSize), `journal with page size ${header.pageSize}`);
  assert(isSectorSize(header.sectorSize), `journal with sector size ${header.sectorSize}`);
  const bytes = new Uint8Array(header.sectorSize);
  bytes.set(magic);
  const view = viewOf(bytes);
  writeField(view, journalHeaderLayout.recordCount, header.recordCount);
  writeField(view, journalHeaderLayout.nonce, header.nonce);
  writeField(view, journalHeaderLayout.pageCount, header.pageCount);
  writeField(view, journalHeaderLayout.sectorSize, header.sectorSize);
  writeField(view, journalHeaderLayout.pageSize, header.pageSize);
  return bytes;
}

/** Reads and checks a header. Throws `sqlite/invalid`. */
export function decodeJournalHeader(bytes: Uint8Array): JournalHeader {
  if (bytes.length < headerSizeBytes) throw invalid(`it has ${bytes.length} bytes`);
  if (!bytesEqual(bytes.subarray(0, magic.length), magic)) throw invalid("it begins otherwise");
  const view = viewOf(bytes);
  const sectorSize = readField(view, journalHeaderLayout.sectorSize);
  if (!isSectorSize(sectorSize)) throw invalid(`its sector size is ${sectorSize}`);
  const pageSize = readField(view, journalHeaderLayout.pageSize);
  if (!isPageSize(pageSize)) throw invalid(`its page size is ${pageSize}`);
  return {
    recordCount: readField(view, journalHeaderLayout.recordCount),
    nonce: readField(view, journalHeaderLayout.nonce),
    pageCount: readField(view, journalHeaderLayout.pageCount),
    sectorSize,
    pageSize,
  };
}

/** Bytes of one record. */
export function journalRecordSizeBytes(pageSize: number): number {
  return pageSize + journalRecordOverheadBytes;
}

/** Completes the record at the start of `into`, in which the page already stands, at offset 4. */
export function sealJournalRecord(
  into: Uint8Array,
  { pgno, nonce, pageSize }: { pgno: number; nonce: number; pageSize: number },
): void {
  const view = viewOf(into);
  view.setUint32(0, pgno);
  view.setUint32(4 + pageSize, checksumOf(into.subarray(4, 4 + pageSize), nonce));
}

/** The record at the start of `bytes`; `undefined` where its checksum says that it is none of this journal. */
export function decodeJournalRecord(
  bytes: Uint8Array,
  { nonce, pageSize }: JournalHeader,
): JournalRecord | undefined {
  if (bytes.length < journalRecordSizeBytes(pageSize)) return undefined;
  const view = viewOf(bytes);
  const page = bytes.subarray(4, 4 + pageSize);
  if (view.getUint32(4 + pageSize) !== checksumOf(page, nonce)) return undefined;
  return { pgno: view.getUint32(0), page };
}

function checksumOf(page: Uint8Array, nonce: number): number {
  let sum = nonce;
  for (let at = page.length - checksumStepBytes; at > 0; at -= checksumStepBytes) {
    sum += page[at] ?? 0;
  }
  return sum >>> 0;
}

function isSectorSize(value: number): boolean {
  return value >= 32 && value <= maxSectorSizeBytes && (value & (value - 1)) === 0;
}

function invalid(why: string): HeadwaterError {
  return new HeadwaterError(
    "sqlite/invalid",
    `The file is not a rollback journal that can be read: ${why}. Open the database with SQLite, which decides what it is.`,
  );
}
