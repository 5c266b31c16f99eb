// The moments a replica can be restored to, and the TXIDs it cannot. Pure: from a listing to two lists. What counts as
// restorable is the plan's own answer, so this list and a restore never disagree.
import { type Txid, nextTxid, toTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";
import { type TxidRange, restorableRanges } from "./plan.ts";

/** A file whose header has been read. */
export interface TimedFile extends ReplicaFile {
  /** Size of the database after the file; `undefined` if the header was not read. */
  readonly databaseSizeBytes?: number | undefined;
}

/** One moment that can be restored. */
export interface HistoryPoint {
  readonly txid: Txid;
  /** When it was reached: a restore to any later time, up to that of the next point, gives this TXID. */
  readonly timestampMs: number;
  /** Size of the database then; `undefined` if no header of a file that ends here was read. */
  readonly databaseSizeBytes: number | undefined;
  /** Levels with a file that ends here, ascending. */
  readonly levels: readonly number[];
}

/**
 * TXIDs that cannot be restored. `thinned`: retention removed the files that ended there, a later point holds what they
 * held. `hole`: files are missing, and what they held is in no restore point.
 */
export interface HistoryGap extends TxidRange {
  readonly reason: "thinned" | "hole";
  /** The restore points around it; a time between the two gives the first of them. */
  readonly afterMs: number | undefined;
  readonly beforeMs: number | undefined;
}

export interface History {
  /** By TXID. */
  readonly points: readonly HistoryPoint[];
  /** By TXID. */
  readonly gaps: readonly HistoryGap[];
}

/**
 * Every restore point of `files` and every gap from TXID 1 to the head. Times are as exact as those of the files
 * (`withAllHeaders`). No files: an empty history.
 */
export function listHistory(files: readonly TimedFile[]): History {
  const points = pointsOf(files);
  let headTxid = 0n;
  for (const { maxTxid } of files) if (maxTxid > headTxid) headTxid = maxTxid;
  const gaps: HistoryGap[] = [];
  let before: HistoryPoint | undefined;
  for (const point of points) {
    const from = before === undefined ? toTxid(1) : nextTxid(before.txid);
    if (from < point.txid) {
      gaps.push({
        from,
        to: toTxid(point.txid - 1n),
        reason: "thinned",
        afterMs: before?.timestampMs,
        beforeMs: point.timestampMs,
      });
    }
    before = point;
  }
  // Below a restore point its files hold the missing TXIDs too. Above the last one nothing does.
  if (headTxid > (before?.txid ?? 0n)) {
    const from = before === undefined ? toTxid(1) : nextTxid(before.txid);
    const to = toTxid(headTxid);
    gaps.push({ from, to, reason: "hole", afterMs: before?.timestampMs, beforeMs: undefined });
  }
  return { points, gaps };
}

/** The part of a history between two times, both included; a gap stays if any of its time does. */
export function clipHistory(
  { points, gaps }: History,
  { fromMs = -Infinity, toMs = Infinity }: { readonly fromMs?: number; readonly toMs?: number },
): History {
  return {
    points: points.filter(({ timestampMs }) => timestampMs >= fromMs && timestampMs <= toMs),
    gaps: gaps.filter(
      ({ afterMs = -Infinity, beforeMs = Infinity }) => beforeMs >= fromMs && afterMs <= toMs,
    ),
  };
}

function pointsOf(files: readonly TimedFile[]): readonly HistoryPoint[] {
  const ranges = restorableRanges(files);
  const byTxid = Map.groupBy(files, ({ maxTxid }) => maxTxid);
  const txids = [...byTxid.keys()].toSorted((a, b) => Number(a > b) - Number(a < b));
  const points: HistoryPoint[] = [];
  // From the newest down: a TXID was reached as soon as any file that ends at it, or after it, was made.
  let timestampMs = Infinity;
  let range = ranges.length - 1;
  for (const txid of txids.toReversed()) {
    const ending = byTxid.get(txid) ?? [];
    for (const file of ending) timestampMs = Math.min(timestampMs, file.timestampMs);
    while (range > 0 && txid < (ranges[range]?.from ?? 0n)) range--;
    const { from, to } = ranges[range] ?? { from: 1n, to: 0n };
    if (txid < from || txid > to) continue;
    points.push({
      txid,
      timestampMs,
      databaseSizeBytes: ending.find((file) => file.databaseSizeBytes !== undefined)
        ?.databaseSizeBytes,
      levels: [...new Set(ending.map(({ level }) => level))].toSorted((a, b) => a - b),
    });
  }
  return points.toReversed();
}
