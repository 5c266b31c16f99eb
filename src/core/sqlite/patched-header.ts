// What `patchDatabaseHeader` overwrites in a page 1: taken out beforehand and kept, the page can be compared with what
// it was, byte for byte.
import { assert } from "../base/assert.ts";
import { patchedHeaderFields } from "./database-header.ts";

/** Bytes that `takePatchedBytes` gives. */
const patchedSizeBytes = patchedHeaderFields.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/** The bytes of a page 1 that `patchDatabaseHeader` overwrites. Copied. */
export function takePatchedBytes(page: Uint8Array): Uint8Array<ArrayBuffer> {
  const taken = new Uint8Array(patchedSizeBytes);
  let at = 0;
  for (const { offset, sizeBytes } of patchedHeaderFields) {
    taken.set(page.subarray(offset, offset + sizeBytes), at);
    at += sizeBytes;
  }
  return taken;
}

/** Puts back what `takePatchedBytes` gave. */
export function putPatchedBytes(page: Uint8Array, taken: Uint8Array): void {
  assert(taken.length === patchedSizeBytes, "bytes of a header that were not taken from one");
  let at = 0;
  for (const { offset, sizeBytes } of patchedHeaderFields) {
    page.set(taken.subarray(at, at + sizeBytes), offset);
    at += sizeBytes;
  }
}
