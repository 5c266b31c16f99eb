// What `patchDatabaseHeader` overwrites in a page 1: taken out beforehand and kept, the page can be compared with what
// it was, byte for byte.
import { assert } from "../base/assert.ts";

/** Offset and size of the bytes: the file format's versions, change counter and page count, version-valid-for. */
const patchedRanges = [
  [18, 2],
  [24, 8],
  [92, 4],
] as const;

/** Bytes that `takePatchedBytes` gives. */
const patchedSizeBytes = 14;

/** The bytes of a page 1 that `patchDatabaseHeader` overwrites. Copied. */
export function takePatchedBytes(page: Uint8Array): Uint8Array<ArrayBuffer> {
  const taken = new Uint8Array(patchedSizeBytes);
  let at = 0;
  for (const [offset, sizeBytes] of patchedRanges) {
    taken.set(page.subarray(offset, offset + sizeBytes), at);
    at += sizeBytes;
  }
  return taken;
}

/** Puts back what `takePatchedBytes` gave. */
export function putPatchedBytes(page: Uint8Array, taken: Uint8Array): void {
  assert(taken.length === patchedSizeBytes, "bytes of a header that were not taken from one");
  let at = 0;
  for (const [offset, sizeBytes] of patchedRanges) {
    page.set(taken.subarray(at, at + sizeBytes), offset);
    at += sizeBytes;
  }
}
