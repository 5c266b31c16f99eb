// Ranged reads of a file whose size and version a listing has told.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import type { GetOptions, ObjectContent, ObjectStore } from "../store/object-store.ts";
import type { ViewFile } from "./file-table.ts";

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * Opens part of a file. Throws `store/changed` if the file is gone or was replaced: the view is then planned anew, for the
 * same TXID.
 */
export async function openRange(
  store: ObjectStore,
  { key, etag }: Pick<ViewFile, "key" | "etag">,
  range: ByteRange & Waiting,
): Promise<ObjectContent> {
  const options: GetOptions = { ...range, etag };
  const content = await store.get(key, options);
  if (content === undefined) throw deleted(key);
  return content;
}

/** The bytes of part of a file. Copied. Throws as `openRange`, and `store/length` if there are fewer. */
export async function readRange(
  store: ObjectStore,
  file: Pick<ViewFile, "key" | "etag">,
  range: ByteRange & Waiting,
): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = await openRange(store, file, range);
  const bytes = new Uint8Array(range.length);
  let filled = 0;
  for await (const chunk of body) {
    if (filled + chunk.length > bytes.length) break;
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled === bytes.length) return bytes;
  throw otherLength(file.key, range);
}

/** `readRange` for a caller that stands still until it has the bytes. */
export function readRangeNow(
  reads: BlockingReads,
  { key, etag }: Pick<ViewFile, "key" | "etag">,
  range: ByteRange,
): Uint8Array<ArrayBuffer> {
  const content = reads.getNow(key, { ...range, etag });
  if (content === undefined) throw deleted(key);
  if (content.bytes.length !== range.length) throw otherLength(key, range);
  return content.bytes;
}

function deleted(key: string): HeadwaterError {
  return new HeadwaterError("store/changed", `${key} is gone.`, { data: { key } });
}

function otherLength(key: string, { offset, length }: ByteRange): HeadwaterError {
  return new HeadwaterError(
    "store/length",
    `${key}: ${length} bytes at ${offset} were asked for, the store sent another number. Try again.`,
    { data: { key, offset, length } },
  );
}
