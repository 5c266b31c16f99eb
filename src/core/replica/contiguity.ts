// Whether the files of each level follow each other. Pure: from a listing to what is out of line. A hole or an overlap in one
// level may be bridged by another; what cannot be restored is what `listHistory` says.
import { type Txid, nextTxid, toTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";
import { maxLevel } from "./layout.ts";

/** Two neighbours of a level that do not follow each other. */
export interface ContiguityFault {
  readonly level: number;
  readonly kind: "gap" | "overlap";
  /** TXIDs that are missing, or that both files hold. */
  readonly from: Txid;
  readonly to: Txid;
  /** The later of the two. */
  readonly file: ReplicaFile;
}

/** By level and TXID. Full images all begin at TXID 1 and are not looked at. */
export function findContiguityFaults(files: readonly ReplicaFile[]): readonly ContiguityFault[] {
  const faults: ContiguityFault[] = [];
  for (let level = 0; level < maxLevel; level++) {
    const ofLevel = files
      .filter((file) => file.level === level)
      .toSorted((a, b) => (a.minTxid < b.minTxid ? -1 : a.minTxid > b.minTxid ? 1 : 0));
    let end: Txid | undefined;
    for (const file of ofLevel) {
      const { minTxid, maxTxid } = file;
      if (end !== undefined && minTxid > nextTxid(end)) {
        faults.push({ level, kind: "gap", from: nextTxid(end), to: toTxid(minTxid - 1n), file });
      } else if (end !== undefined && minTxid <= end) {
        const to = maxTxid < end ? maxTxid : end;
        faults.push({ level, kind: "overlap", from: minTxid, to, file });
      }
      if (end === undefined || maxTxid > end) end = maxTxid;
    }
  }
  return faults;
}
