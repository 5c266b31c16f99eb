// Whether a file made by compaction is in the store as it should be, and follows the one before it.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type LtxHeader, areContradictory } from "../ltx/header.ts";
import { formatTxid, toTxid } from "../ltx/txid.ts";
import type { ObjectInfo, ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { readFileHeader } from "./compaction-input.ts";
import type { ReplicaLayout } from "./layout.ts";

export interface VerifyCompactedOptions extends Waiting {
  readonly store: ObjectStore;
  readonly layout: ReplicaLayout;
}

/**
 * Checks a file of levels 1 to 8 against the store: it is listed, with its size; it follows `predecessor`, and neither
 * header contradicts the other. Returns its header as the store has it. Throws `replica/gap`, `replica/proof` or
 * `replica/foreign-file`.
 */
export async function verifyCompacted(
  file: ReplicaFile,
  predecessor: ReplicaFile | undefined,
  { store, layout, signal }: VerifyCompactedOptions,
): Promise<LtxHeader> {
  const listed = await findListed(file, { store, layout, signal });
  if (listed?.sizeBytes !== file.sizeBytes) {
    const what =
      listed === undefined ? "is not listed" : `is listed with ${listed.sizeBytes} bytes`;
    throw unsound("replica/gap", file, `${what} after it was put with ${file.sizeBytes}`);
  }
  const header = await readFileHeader({ store, signal }, file);
  if (predecessor?.maxTxid !== file.minTxid - 1n) return header;
  const before = await readFileHeader({ store, signal }, predecessor);
  const left = before.proof?.after ?? 0n;
  const right = header.proof?.before ?? 0n;
  if (before.pageSize !== header.pageSize || areContradictory(left, right)) {
    throw unsound("replica/proof", file, `does not continue ${predecessor.key}`);
  }
  return header;
}

/** Entries of the level from `file` on; the listing is asked for nothing before it. */
async function findListed(
  { level, minTxid, key }: ReplicaFile,
  { store, layout, signal }: VerifyCompactedOptions,
): Promise<ObjectInfo | undefined> {
  const prefix = layout.levelPrefix(level);
  const below = toTxid(minTxid > 1n ? minTxid - 1n : 1n);
  // Every name of a file that starts before ours lies before ours.
  const after = minTxid > 1n ? layout.key({ level, minTxid: below, maxTxid: below }) : undefined;
  for await (const object of store.list({ prefix, after, signal })) {
    if (object.key === key) return object;
    if (object.key > key) return undefined;
  }
  return undefined;
}

/** The error for a file that is not as it should be after it was put. */
export function unsound(
  code: "replica/gap" | "replica/proof",
  { key, minTxid, maxTxid }: ReplicaFile,
  problem: string,
): HeadwaterError {
  return new HeadwaterError(
    code,
    `${key} (TXID ${formatTxid(minTxid)} to ${formatTxid(maxTxid)}) ${problem}. ` +
      "The files it was made of are kept; run headwater verify.",
    { data: { key } },
  );
}
