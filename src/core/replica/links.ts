// Whether the files of a replica are one history: every proof's *before* is the *after* of the file that ends right before
// it, on whatever level, and files that end at one TXID name one database (docs/formats/ltx.md, "Proof"). Pure.
import type { LtxProof } from "../ltx/header.ts";
import { formatTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";

/** A file and the proof in its header, `undefined` if it has none. */
export interface LinkedFile {
  readonly file: ReplicaFile;
  readonly proof: LtxProof | undefined;
}

/** A file whose proof contradicts another's. */
export interface BrokenLink {
  readonly file: ReplicaFile;
  readonly problem: string;
}

/**
 * The files that contradict those before them in `files`: put the most trusted first. Claims of 0, and files without
 * neighbours, cannot be judged and are not broken.
 */
export function findBrokenLinks(files: readonly LinkedFile[]): readonly BrokenLink[] {
  const endByTxid = new Map<bigint, { readonly after: bigint; readonly file: ReplicaFile }>();
  const broken = new Map<ReplicaFile, string>();
  for (const { file, proof } of files) {
    const after = proof?.after ?? 0n;
    if (after === 0n) continue;
    const other = endByTxid.get(file.maxTxid);
    if (other === undefined) endByTxid.set(file.maxTxid, { after, file });
    else if (other.after !== after) {
      const txid = formatTxid(file.maxTxid);
      broken.set(file, `Its proof names another database at TXID ${txid} than ${other.file.key}.`);
    }
  }
  for (const { file, proof } of files) {
    const before = proof?.before ?? 0n;
    const left = endByTxid.get(file.minTxid - 1n);
    if (before === 0n || left === undefined || left.after === before || broken.has(file)) continue;
    broken.set(file, `Its proof does not continue ${left.file.key}.`);
  }
  return [...broken].map(([file, problem]) => ({ file, problem }));
}
