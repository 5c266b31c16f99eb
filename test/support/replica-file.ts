// The files of a replica as its listing shows them, for tests that read none of them.
import { toTxid } from "../../src/core/ltx/txid.ts";
import type { ReplicaFile } from "../../src/core/replica/catalog.ts";
import { litestreamLayout } from "../../src/core/replica/layout.ts";

/** A file of TXIDs that were captured one a second; `changes` replace fields. */
export function replicaFile(
  level: number,
  min: number,
  max: number,
  changes: Partial<Pick<ReplicaFile, "sizeBytes" | "timestampMs" | "key">> = {},
): ReplicaFile {
  const range = { level, minTxid: toTxid(min), maxTxid: toTxid(max) };
  const { key = litestreamLayout.key(range), sizeBytes = 1000, timestampMs = max * 1000 } = changes;
  return { ...range, key, sizeBytes, timestampMs, isExactTime: true, etag: key };
}
