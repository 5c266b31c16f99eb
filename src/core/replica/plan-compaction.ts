// What is to be compacted next: pure, from a listing (docs/formats/replica.md, "Compaction").
import { assert } from "../base/assert.ts";
import type { Txid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";

/** Inputs merged at once, all of them open: bounds memory and connections. What is left over is the next plan. */
export const maxInputs = 256;

/** One file to make. */
export interface CompactionPlan {
  /** Of the file to make. */
  readonly level: number;
  /** Oldest first, without a hole between them. Of the level below, except in a repair. */
  readonly inputs: readonly ReplicaFile[];
  /** The newest file of the level, which the new one follows; `undefined` for the first. */
  readonly predecessor: ReplicaFile | undefined;
}

export interface CompactionPlanOptions {
  /** 1 to 8. */
  readonly level: number;
  /**
   * The current interval, ms: nothing is due while the newest file of the level lies in it. Left out, whatever is there
   * is due. A file from the future says nothing: the clock was set back.
   */
  readonly interval?: { readonly startMs: number; readonly nowMs: number } | undefined;
}

/**
 * What is next to compact into a level: the files of the level below that end after its newest TXID, up to the first
 * hole. `undefined` if there are none, or if it is too early. Where the level below begins only later than this level
 * ends, the plan begins there: what is missing in between is missing below, too, and no reason to stop.
 */
export function planCompaction(
  files: readonly ReplicaFile[],
  { level, interval }: CompactionPlanOptions,
): CompactionPlan | undefined {
  assert(level >= 1 && level <= 8, "only levels 1 to 8 are compacted");
  const predecessor = newestOf(files.filter((file) => file.level === level));
  const newestMs = predecessor?.timestampMs ?? Number.NEGATIVE_INFINITY;
  const isTooEarly =
    interval !== undefined && newestMs > interval.startMs && newestMs <= interval.nowMs;
  if (isTooEarly) return undefined;
  const after = predecessor?.maxTxid ?? 0n;
  const inputs = firstRun(files.filter((file) => file.level === level - 1 && file.maxTxid > after));
  return inputs.length === 0 ? undefined : { level, inputs, predecessor };
}

/** The oldest of `files` up to the first hole, none of them held by another, and at most as many as are merged at once. */
export function firstRun(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  const run: ReplicaFile[] = [];
  for (const file of files.toSorted(byTxid)) {
    const last = run.at(-1);
    if (last !== undefined && file.minTxid > last.maxTxid + 1n) break;
    // A file that holds all of those before it takes their place.
    while (file.minTxid <= (run.at(-1)?.minTxid ?? 0n)) run.pop();
    run.push(file);
    if (run.length === maxInputs) break;
  }
  return run;
}

function newestOf(files: readonly ReplicaFile[]): ReplicaFile | undefined {
  return files.toSorted(byTxid).at(-1);
}

/** By end; of two with the same end the wider one last. */
function byTxid(a: ReplicaFile, b: ReplicaFile): number {
  return compare(a.maxTxid, b.maxTxid) || compare(b.minTxid, a.minTxid);
}

function compare(a: Txid, b: Txid): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
