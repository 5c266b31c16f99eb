// Which files make a restore point. Pure: from a listing to an ordered list of files, or to an error that says what
// can be restored instead.
//
// A file [min, max] can be applied to a database at TXID t if min - 1 <= t < max, and leaves it at max: it holds the
// last image of every page that changed in its range. A file with min = 1 holds every page and needs nothing before
// it. A plan is a chain of such steps over any levels, so a hole in one level is bridged by any other level that
// covers it, and overlapping files are no fault.
import { unreachable } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type Txid, formatTxid, nextTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";

/** What to restore. A time means the newest restore point strictly before it. */
export type RestoreTarget =
  | { readonly kind: "latest" }
  | { readonly kind: "txid"; readonly txid: Txid }
  | { readonly kind: "time"; readonly beforeMs: number };

/** What one more file costs beside its bytes: about what a store sends in the time of one request. */
const requestCostBytes = 64 * 1024;

/** Ranges of TXIDs that an error message lists before it says how many more there are. */
const listedRangeLimit = 16;

/**
 * The files whose application in order gives the target, if any chain of files does. Of several chains: the one that
 * starts at the newest full image, then the one with the least to fetch.
 *
 * A TXID was reached before a time if any file that ends at it, or after it, is stamped before that time. So a full
 * image taken long after its TXID still serves a time between the two. Where retention has thinned the history, the
 * nearest restore point before the target time is taken.
 *
 * Throws `replica/empty`, `replica/unreachable-txid`, `replica/unreachable-time` or `replica/gap`.
 */
export function planRestore(
  files: readonly ReplicaFile[],
  target: RestoreTarget,
): readonly ReplicaFile[] {
  if (files.length === 0) {
    throw new HeadwaterError(
      "replica/empty",
      "There is no backup here: not one LTX file was found. Check the URL, or start replicating to it.",
    );
  }
  const steps = bestSteps(files);
  switch (target.kind) {
    case "latest":
      return filesOf(steps.at(-1)?.maxTxid === highestTxid(files) ? steps.at(-1) : undefined, () =>
        gapError(files, steps),
      );
    case "txid":
      return filesOf(
        steps.find((step) => step.maxTxid === target.txid),
        () => unreachableTxid(files, steps, target.txid),
      );
    case "time":
      return planTime(files, steps, target.beforeMs);
    default:
      return unreachable(target);
  }
}

/**
 * The files whose application in order takes a database at TXID `from` as far as any chain of files does, the cheapest such
 * chain; empty if there is none. Full images are no part of it: what they replace may be much more than what changed.
 */
export function planAdvance(files: readonly ReplicaFile[], from: Txid): readonly ReplicaFile[] {
  const usable = files.filter(({ minTxid, maxTxid }) => minTxid > 1n && maxTxid > from);
  const last = bestSteps(usable, from).at(-1);
  return last === undefined ? [] : filesTo(last);
}

/** Inclusive ranges of the TXIDs that can be restored, ascending. */
export function restorableRanges(files: readonly ReplicaFile[]): readonly TxidRange[] {
  return rangesOf(bestSteps(files));
}

export interface TxidRange {
  readonly from: Txid;
  readonly to: Txid;
}

function planTime(
  files: readonly ReplicaFile[],
  steps: readonly Step[],
  beforeMs: number,
): readonly ReplicaFile[] {
  const reached = highestTxid(files.filter((file) => file.timestampMs < beforeMs));
  const newest =
    reached === undefined ? undefined : steps.findLast((step) => step.maxTxid <= reached);
  // Below the last restore point a missing chain is retention at work; above it, files are missing.
  const last = steps.at(-1);
  const isInHole = last === undefined || (reached !== undefined && reached > last.maxTxid);
  if (isInHole) throw gapError(files, steps);
  return filesOf(newest, () => unreachableTime(files, steps, beforeMs));
}

/** The best way found to one TXID: a file and the step before it. */
interface Step {
  readonly maxTxid: Txid;
  readonly file: ReplicaFile;
  readonly before: Step | undefined;
  /** Where the full image that the chain starts with ends; that of an advance starts with none. */
  readonly baseTxid: bigint;
  readonly costBytes: number;
}

/** The best step to every TXID that can be reached from `from` (0n: from nothing), by TXID. O(n log n). */
function bestSteps(files: readonly ReplicaFile[], from = 0n): readonly Step[] {
  const steps: Step[] = [];
  // Of the steps so far, those not beaten by a later one: by TXID ascending, which makes them the better the
  // earlier they come. The best predecessor of a file is then the first that reaches its min - 1.
  const frontier: Step[] = [];
  let best: Step | undefined;
  const settle = (): void => {
    if (best === undefined) return;
    steps.push(best);
    for (let last = frontier.at(-1); last !== undefined && !isBetter(last, best);) {
      frontier.pop();
      last = frontier.at(-1);
    }
    frontier.push(best);
    best = undefined;
  };
  let maxTxid: Txid | undefined;
  // Where nothing else decides, the higher level: retention takes the lower one first.
  const ordered = files.toSorted((a, b) => compare(a.maxTxid, b.maxTxid) || b.level - a.level);
  for (const file of ordered) {
    if (file.maxTxid !== maxTxid) settle();
    maxTxid = file.maxTxid;
    const step = stepTo(file, frontier, from);
    if (step !== undefined && (best === undefined || isBetter(step, best))) best = step;
  }
  settle();
  return steps;
}

function stepTo(file: ReplicaFile, frontier: readonly Step[], from: bigint): Step | undefined {
  const costBytes = file.sizeBytes + requestCostBytes;
  const { maxTxid } = file;
  if (file.minTxid - 1n <= from) {
    const baseTxid = file.minTxid === 1n ? maxTxid : from;
    return { maxTxid, file, before: undefined, baseTxid, costBytes };
  }
  const before = frontier[firstReaching(frontier, file.minTxid - 1n)];
  if (before === undefined) return undefined;
  const { baseTxid } = before;
  return { maxTxid, file, before, baseTxid, costBytes: before.costBytes + costBytes };
}

/** Index of the first step whose TXID is at least `txid`; the length if there is none. */
function firstReaching(steps: readonly Step[], txid: bigint): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const step = steps[middle];
    if (step !== undefined && step.maxTxid < txid) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The newest image first: what Litestream lost while it was down is only in later images.
function isBetter(a: Step, b: Step): boolean {
  return a.baseTxid === b.baseTxid ? a.costBytes < b.costBytes : a.baseTxid > b.baseTxid;
}

function filesOf(last: Step | undefined, orElse: () => HeadwaterError): readonly ReplicaFile[] {
  if (last === undefined) throw orElse();
  return filesTo(last);
}

function filesTo(last: Step): readonly ReplicaFile[] {
  const files: ReplicaFile[] = [];
  for (let step: Step | undefined = last; step !== undefined; step = step.before) {
    files.push(step.file);
  }
  return files.toReversed();
}

function compare(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function highestTxid(files: readonly ReplicaFile[]): Txid | undefined {
  let highest: Txid | undefined;
  for (const { maxTxid } of files) {
    if (highest === undefined || maxTxid > highest) highest = maxTxid;
  }
  return highest;
}

function rangesOf(steps: readonly Step[]): readonly TxidRange[] {
  const ranges: { from: Txid; to: Txid }[] = [];
  for (const { maxTxid } of steps) {
    const last = ranges.at(-1);
    if (last !== undefined && maxTxid === last.to + 1n) last.to = maxTxid;
    else ranges.push({ from: maxTxid, to: maxTxid });
  }
  return ranges;
}

function formatRange({ from, to }: TxidRange): string {
  return from === to ? formatTxid(from) : `${formatTxid(from)} to ${formatTxid(to)}`;
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

function describe(steps: readonly Step[]): string {
  const ranges = rangesOf(steps);
  if (ranges.length === 0) return "nothing: no file holds a full image";
  if (ranges.length <= listedRangeLimit) return ranges.map(formatRange).join(", ");
  const shown = ranges.slice(0, listedRangeLimit - 1).map(formatRange);
  const last = ranges.slice(-1).map(formatRange);
  return [...shown, `${ranges.length - listedRangeLimit} more ranges`, ...last].join(", ");
}

function gapError(files: readonly ReplicaFile[], steps: readonly Step[]): HeadwaterError {
  const head = highestTxid(files);
  const last = steps.at(-1)?.maxTxid;
  const next = files
    .map((file) => file.minTxid)
    .filter((minTxid) => minTxid > (last ?? 0n) + 1n)
    .toSorted(compare)[0];
  const hole =
    last === undefined
      ? "has no full image that a restore could start from"
      : `has a hole: no file covers TXID ${formatTxid(nextTxid(last))}` +
        (next === undefined ? "" : `, the next one starts at ${formatTxid(next)}`);
  return new HeadwaterError(
    "replica/gap",
    `The history up to TXID ${head === undefined ? "?" : formatTxid(head)} ${hole}. ` +
      `Restorable: ${describe(steps)}. Restore one of these with --txid, or find the missing file.`,
    { data: { head, lastRestorable: last, restorable: rangesOf(steps) } },
  );
}

function unreachableTxid(
  files: readonly ReplicaFile[],
  steps: readonly Step[],
  txid: Txid,
): HeadwaterError {
  const head = highestTxid(files);
  const why =
    head !== undefined && txid > head
      ? `is above the newest one, ${formatTxid(head)}`
      : "is not the end of any chain of files";
  return new HeadwaterError(
    "replica/unreachable-txid",
    `TXID ${formatTxid(txid)} ${why}. Restorable: ${describe(steps)}. Choose one of these.`,
    { data: { txid, head, restorable: rangesOf(steps) } },
  );
}

function unreachableTime(
  files: readonly ReplicaFile[],
  steps: readonly Step[],
  beforeMs: number,
): HeadwaterError {
  const timeOf = (step: Step | undefined): number => {
    let earliest = Infinity;
    for (const file of files) {
      if (step !== undefined && file.maxTxid >= step.maxTxid) {
        earliest = Math.min(earliest, file.timestampMs);
      }
    }
    return earliest;
  };
  const firstMs = timeOf(steps[0]);
  const lastMs = timeOf(steps.at(-1));
  return new HeadwaterError(
    "replica/unreachable-time",
    `Nothing can be restored from before ${formatTime(beforeMs)}: the first restore point was made at ` +
      `${formatTime(firstMs)}, the last at ${formatTime(lastMs)}. Choose a time after the first.`,
    { data: { beforeMs, firstMs, lastMs } },
  );
}
