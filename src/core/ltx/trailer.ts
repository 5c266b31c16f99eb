// The last 16 bytes of an LTX file: the database's checksum after it, and the checksum of the file itself.
// Format: docs/formats/ltx.md, "Trailer".
import { viewOf } from "../base/bytes.ts";
import type { FilePlace } from "./fault.ts";
import { ltxFault } from "./fault.ts";
import type { LtxHeader } from "./header.ts";
import { checksumFlag, isChecksum } from "./header.ts";

export interface LtxTrailer {
  /** Database checksum after the file, bit 63 set; 0n with `noChecksum`. */
  readonly postApplyChecksum: bigint;
  readonly fileChecksum: bigint;
}

export const ltxTrailerSizeBytes = 16;

/** Where each field lies: [offset, size] in bytes. */
export const ltxTrailerLayout = {
  postApplyChecksum: [0, 8],
  fileChecksum: [8, 8],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

/** Bytes of the trailer that the file checksum covers. */
export const hashedTrailerSizeBytes = 8;

/** The 16 bytes. */
export function encodeTrailer(trailer: LtxTrailer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ltxTrailerSizeBytes);
  const view = viewOf(bytes);
  view.setBigUint64(ltxTrailerLayout.postApplyChecksum[0], trailer.postApplyChecksum);
  view.setBigUint64(ltxTrailerLayout.fileChecksum[0], trailer.fileChecksum);
  return bytes;
}

/** Reads the 16 bytes, without judging them. */
export function decodeTrailer(bytes: Uint8Array): LtxTrailer {
  const view = viewOf(bytes);
  return {
    postApplyChecksum: view.getBigUint64(ltxTrailerLayout.postApplyChecksum[0]),
    fileChecksum: view.getBigUint64(ltxTrailerLayout.fileChecksum[0]),
  };
}

/**
 * A snapshot proves itself: its pages are the database that its proof names. For both directions. Throws
 * `ltx/checksum` at `place`.
 */
export function checkSnapshotProof(
  header: LtxHeader,
  pagesChecksum: bigint,
  place: FilePlace,
): void {
  const after = header.proof?.after ?? 0n;
  if (header.minTxid !== 1n || after === 0n || after === pagesChecksum) return;
  throw ltxFault("ltx/checksum", place, "the pages of the snapshot are not those its proof names");
}

/**
 * The rules for the post-apply checksum, for both directions. `pagesChecksum` is the XOR of the pages in the
 * file, which for a snapshot is the database. Throws `ltx/invalid` or `ltx/checksum` at `place`.
 */
export function checkPostApply(
  postApplyChecksum: bigint,
  header: LtxHeader,
  pagesChecksum: bigint,
  place: FilePlace,
): void {
  if (header.noChecksum) {
    if (postApplyChecksum === 0n) return;
    throw ltxFault("ltx/invalid", place, "a post-apply checksum in a file without checksums");
  }
  if (!isChecksum(postApplyChecksum)) {
    throw ltxFault("ltx/invalid", place, "the post-apply checksum lacks bit 63");
  }
  if (header.commit === 0 && postApplyChecksum !== checksumFlag) {
    throw ltxFault(
      "ltx/invalid",
      place,
      "the checksum of an empty database is not that of no pages",
    );
  }
  if (header.minTxid === 1n && postApplyChecksum !== pagesChecksum) {
    throw ltxFault("ltx/checksum", place, "the pages of the snapshot do not have its checksum");
  }
}
