// Which files of a replica may go. Pure: from a listing, a policy and a time to a verdict on every file, so that
// `headwater prune --dry-run` says exactly what the engine would do (docs/formats/replica.md, "Retention").
//
// Of each level only the oldest files go, up to the first that stays: what is left of a level has no new hole.
import { assert } from "../base/assert.ts";
import { hasCode } from "../base/errors.ts";
import { type Txid, toTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";
import { maxLevel } from "./layout.ts";
import { type TxidRange, planRestore, restorableRanges } from "./plan.ts";

/** How long files are kept, ms. */
export interface RetentionPolicy {
  /** Full images older than this go, but never the newest. */
  readonly snapshotRetentionMs: number;
  /** Level-0 files older than this go once level 1 covers them; 0 = they never go. */
  readonly l0RetentionMs: number;
  /**
   * No file younger than this goes, and none that a restore of the newest state would have taken this long ago: a
   * restore that has begun by then finds its files.
   */
  readonly graceMs: number;
}

/** As Litestream: full images for a day, level 0 for five minutes. */
export const retentionDefaults = Object.freeze({
  snapshotRetentionMs: 24 * 60 * 60 * 1000,
  l0RetentionMs: 5 * 60 * 1000,
  graceMs: 5 * 60 * 1000,
});

export type RetentionReason =
  /** Goes: a newer image is there and it is older than images are kept. */
  | "old-image"
  /** Goes: it ends before the image that the oldest kept one followed. */
  | "before-images"
  /** Goes: level 1 holds what it holds. */
  | "compacted"
  /** Stays: the newest file of its level. */
  | "newest"
  /** Stays: the newest state is restored from it. */
  | "in-plan"
  /** Stays: the newest state was restored from it a grace period ago. */
  | "in-recent-plan"
  /** Stays: the manifest names it, or has left it out only just now. */
  | "in-manifest"
  /** Stays: younger than the policy asks for, or than the grace period. */
  | "young"
  /** Stays: level 1 does not hold all of it yet, or holds it in one file with others that stay. */
  | "not-compacted"
  /** Stays: restore points after the oldest kept image are made of it. */
  | "in-history"
  /** Stays: an older file of its level does. */
  | "after-kept"
  /** Stays: the policy never deletes level 0. */
  | "forever";

export interface RetentionVerdict {
  readonly file: ReplicaFile;
  readonly goes: boolean;
  readonly reason: RetentionReason;
}

export interface RetentionPlan {
  /** One for each file, by level and TXID. */
  readonly verdicts: readonly RetentionVerdict[];
  /** In the order in which to delete: level by level from 0, full images last. */
  readonly gone: readonly ReplicaFile[];
  /** Restore points that go with them, ascending. */
  readonly lost: readonly TxidRange[];
}

/**
 * Judges every file; what `isHeld` says of one stays, whatever the policy is. Guarantee: the newest restore point before is one after; so is every end of a file of levels 1 to
 * 8 after the oldest kept image, and every end of a kept level-0 file that can be restored now.
 */
export function planRetention(
  files: readonly ReplicaFile[],
  policy: RetentionPolicy,
  nowMs: number,
  isHeld: (file: ReplicaFile) => boolean = () => false,
): RetentionPlan {
  const youngSinceMs = nowMs - policy.graceMs;
  const inPlan = new Set(newestPlan(files));
  const inRecentPlan = new Set(
    newestPlan(files.filter((file) => file.timestampMs <= youngSinceMs)),
  );
  const verdicts: RetentionVerdict[] = [];
  const judge = (level: number, judgeFile: (file: ReplicaFile) => RetentionVerdict): void => {
    const ofLevel = files.filter((file) => file.level === level).toSorted(byTxid);
    let isPast = false;
    for (const file of ofLevel) {
      const verdict = guarded(file, judgeFile);
      verdicts.push(isPast && verdict.goes ? stays(file, "after-kept") : verdict);
      isPast ||= !verdict.goes;
    }
  };
  const guarded = (
    file: ReplicaFile,
    judgeFile: (file: ReplicaFile) => RetentionVerdict,
  ): RetentionVerdict => {
    const verdict = judgeFile(file);
    if (!verdict.goes) return verdict;
    if (file.timestampMs > youngSinceMs) return stays(file, "young");
    if (inPlan.has(file)) return stays(file, "in-plan");
    if (inRecentPlan.has(file)) return stays(file, "in-recent-plan");
    return isHeld(file) ? stays(file, "in-manifest") : verdict;
  };
  judge(maxLevel, imageRule(files, policy, nowMs));
  const floor = verdicts.findLast(({ goes }) => goes)?.file.maxTxid ?? 0n;
  for (let level = 1; level < maxLevel; level++) judge(level, historyRule(files, level, floor));
  judge(0, level0Rule(files, policy, nowMs));
  return result(files, verdicts);
}

function result(
  files: readonly ReplicaFile[],
  unsorted: readonly RetentionVerdict[],
): RetentionPlan {
  const grouped = wholeGroups(files, unsorted);
  const before = restorableRanges(files);
  const verdicts = (cutsOff(before, grouped) ? withLevel0(grouped) : grouped).toSorted(
    (a, b) => a.file.level - b.file.level || byTxid(a.file, b.file),
  );
  const kept = keptOf(verdicts);
  const gone = verdicts.filter(({ goes }) => goes).map(({ file }) => file);
  const after = restorableRanges(kept);
  assert(before.at(-1)?.to === after.at(-1)?.to, "retention would take the newest restore point");
  return { verdicts, gone, lost: subtract(before, after) };
}

/**
 * Whether a restore point at the end of a kept file, after the oldest kept image, would be lost. Only where files of level 1
 * overlap can the files before one of them be gone.
 */
function cutsOff(before: readonly TxidRange[], verdicts: readonly RetentionVerdict[]): boolean {
  const kept = keptOf(verdicts);
  const lost = subtract(before, restorableRanges(kept));
  const images = kept.filter(({ level }) => level === maxLevel).map(({ maxTxid }) => maxTxid);
  const oldestImage = images.toSorted(compare)[0] ?? 0n;
  return kept.some(
    ({ maxTxid }) =>
      maxTxid >= oldestImage && lost.some(({ from, to }) => from <= maxTxid && to >= maxTxid),
  );
}

/** The same, but nothing of level 0 goes. */
function withLevel0(verdicts: readonly RetentionVerdict[]): readonly RetentionVerdict[] {
  return verdicts.map((verdict) =>
    verdict.goes && verdict.file.level === 0 ? stays(verdict.file, "not-compacted") : verdict,
  );
}

function keptOf(verdicts: readonly RetentionVerdict[]): readonly ReplicaFile[] {
  return verdicts.filter(({ goes }) => !goes).map(({ file }) => file);
}

/** What the newest state is restored from; nothing if it cannot be. */
function newestPlan(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  const txid = restorableRanges(files).at(-1)?.to;
  if (txid === undefined) return [];
  try {
    return planRestore(files, { kind: "txid", txid });
  } catch (error) {
    if (hasCode(error, "replica/unreachable-txid")) return [];
    throw error;
  }
}

type Rule = (file: ReplicaFile) => RetentionVerdict;

function imageRule(files: readonly ReplicaFile[], policy: RetentionPolicy, nowMs: number): Rule {
  const newest = newestOf(files, maxLevel);
  return (file) => {
    if (file === newest) return stays(file, "newest");
    const isOld = file.timestampMs < nowMs - policy.snapshotRetentionMs;
    return isOld ? leaves(file, "old-image") : stays(file, "young");
  };
}

function historyRule(files: readonly ReplicaFile[], level: number, floor: bigint): Rule {
  const newest = newestOf(files, level);
  return (file) => {
    if (file === newest) return stays(file, "newest");
    return file.maxTxid < floor ? leaves(file, "before-images") : stays(file, "in-history");
  };
}

function level0Rule(files: readonly ReplicaFile[], policy: RetentionPolicy, nowMs: number): Rule {
  const newest = newestOf(files, 0);
  const covered = runsOf(files.filter((file) => file.level === 1));
  return (file) => {
    if (file === newest) return stays(file, "newest");
    if (policy.l0RetentionMs === 0) return stays(file, "forever");
    if (file.timestampMs >= nowMs - policy.l0RetentionMs) return stays(file, "young");
    const isCovered = covered.some(({ from, to }) => from <= file.minTxid && to >= file.maxTxid);
    return isCovered ? leaves(file, "compacted") : stays(file, "not-compacted");
  };
}

/**
 * Level-0 files that one level-1 file covers go together: with the first of them gone, the restore points in the middle
 * of that file could not be reached, although their own files were there.
 */
function wholeGroups(
  files: readonly ReplicaFile[],
  verdicts: readonly RetentionVerdict[],
): readonly RetentionVerdict[] {
  const level0 = verdicts.filter(({ file }) => file.level === 0);
  const kept = level0.filter((verdict) => !verdict.goes);
  if (kept.length === level0.length) return verdicts;
  // The newest file may stay alone: its restore point is the end of the level-1 file, too.
  const reached = (kept.length === 1 ? kept : level0.filter((verdict) => verdict.goes)).at(-1)?.file
    .maxTxid;
  if (reached === undefined) return verdicts;
  const end = files.reduce(
    (best, { level, maxTxid }) =>
      level === 1 && maxTxid <= reached && maxTxid > best ? maxTxid : best,
    0n,
  );
  return verdicts.map((verdict) => {
    const { file } = verdict;
    const isTooMuch = verdict.goes && file.level === 0 && file.maxTxid > end;
    return isTooMuch ? stays(file, "not-compacted") : verdict;
  });
}

/** The ranges that files cover without a hole, ascending. */
function runsOf(files: readonly ReplicaFile[]): readonly TxidRange[] {
  const runs: { from: Txid; to: Txid }[] = [];
  for (const { minTxid, maxTxid } of files.toSorted((a, b) => compare(a.minTxid, b.minTxid))) {
    const last = runs.at(-1);
    if (last === undefined || minTxid > last.to + 1n) runs.push({ from: minTxid, to: maxTxid });
    else if (maxTxid > last.to) last.to = maxTxid;
  }
  return runs;
}

/** The TXIDs of `ranges` that are not in `others`; both ascending. */
function subtract(
  ranges: readonly TxidRange[],
  others: readonly TxidRange[],
): readonly TxidRange[] {
  const rest: TxidRange[] = [];
  for (const { from, to } of ranges) {
    let at: bigint = from;
    for (const other of others) {
      if (other.to < at || other.from > to) continue;
      if (other.from > at) rest.push({ from: toTxid(at), to: toTxid(other.from - 1n) });
      at = other.to + 1n;
    }
    if (at <= to) rest.push({ from: toTxid(at), to });
  }
  return rest;
}

function newestOf(files: readonly ReplicaFile[], level: number): ReplicaFile | undefined {
  return files
    .filter((file) => file.level === level)
    .toSorted(byTxid)
    .at(-1);
}

function leaves(file: ReplicaFile, reason: RetentionReason): RetentionVerdict {
  return { file, goes: true, reason };
}

function stays(file: ReplicaFile, reason: RetentionReason): RetentionVerdict {
  return { file, goes: false, reason };
}

function byTxid(a: ReplicaFile, b: ReplicaFile): number {
  return compare(a.maxTxid, b.maxTxid) || compare(b.minTxid, a.minTxid);
}

function compare(a: bigint, b: bigint): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
