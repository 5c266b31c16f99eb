// Files that lead from one state of a database to the next, as far as their proofs tell. Pure.
import { areContradictory } from "../ltx/header.ts";
import type { ReplicaFile } from "./catalog.ts";

/** A state that a file may continue: its TXID and database checksum, 0n = unknown. */
export interface ChainPoint {
  readonly txid: bigint;
  readonly checksum: bigint;
}

/** A file, and the database checksum before and after it; 0n = unknown. */
export interface ChainFile {
  readonly file: ReplicaFile;
  readonly before: bigint;
  readonly after: bigint;
}

/** Those of `files`, ascending by TXID, that lead on from a state, one after the other; none of another history. */
export function chainFrom<File extends ChainFile>(
  { txid, checksum }: ChainPoint,
  files: readonly File[],
): readonly File[] {
  const found: File[] = [];
  let at = { txid, after: checksum };
  for (const one of files) {
    const { file, before, after } = one;
    if (file.minTxid !== at.txid + 1n || areContradictory(before, at.after)) continue;
    found.push(one);
    at = { txid: file.maxTxid, after };
  }
  return found;
}
