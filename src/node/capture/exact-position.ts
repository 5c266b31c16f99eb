// An exact position: under a momentary write lock nobody commits or resets the WAL, so the guard that R takes and the
// wal-index that is read are of one state.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { WalIndex } from "../../core/sqlite/wal-index.ts";
import type { CapturePosition } from "./capture-types.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { readFrameHeader } from "./frame-scan.ts";
import type { Guard } from "./guard.ts";
import type { TrackerStart } from "./tracker.ts";

/** How long to try to get between two commits. */
const lockBudgetMs = 5000;

export interface ExactPosition extends TrackerStart {
  /** True when capture goes on exactly where it stopped. */
  readonly isResumed: boolean;
  /** True when frames after the position are committed already: capture has to read them before they may be overwritten. */
  readonly isBehind: boolean;
}

export interface TakeExactPositionOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly resumeAt?: CapturePosition | undefined;
}

/** Takes the guard and the position that belongs to it. Throws `capture/locked` if a writer holds on to its lock. */
export async function takeExactPosition(
  guard: Guard,
  files: DatabaseFiles,
  { clock, signal, resumeAt }: TakeExactPositionOptions,
): Promise<ExactPosition> {
  if (!(await guard.lockWriters({ clock, signal, budgetMs: lockBudgetMs }))) {
    throw locked(files.path, "Another connection keeps it in a long write transaction");
  }
  try {
    guard.swap({ checkpoint: false });
    const index = files.readIndex();
    if (index === undefined) throw locked(files.path, "Its wal-index is being recovered");
    return resumed(files, index, resumeAt) ?? current(files, index);
  } finally {
    guard.unlockWriters();
  }
}

function current(files: DatabaseFiles, index: WalIndex): ExactPosition {
  const hasFrames = index.frameCount > 0;
  return {
    isResumed: false,
    isBehind: false,
    position: {
      salt1: index.salt1,
      salt2: index.salt2,
      frame: index.frameCount,
      checksum1: hasFrames ? index.checksum1 : 0,
      checksum2: hasFrames ? index.checksum2 : 0,
    },
    // After a clean open the index holds zeros, and SQLite goes by the size of the file, as we do.
    commit: index.commit > 0 ? index.commit : Math.ceil(files.databaseSizeBytes / files.pageSize),
    changeCounter: index.changeCounter,
  };
}

/**
 * The earlier position, if the WAL surely goes on from there: same generation, not shorter, and the frame still has
 * the checksum it had. Without a frame there is nothing to compare, so such a position never matches: a database
 * that was closed and opened again in between shows the same zeros.
 */
function resumed(
  files: DatabaseFiles,
  index: WalIndex,
  at: CapturePosition | undefined,
): ExactPosition | undefined {
  if (at === undefined || at.frame === 0 || index.frameCount < at.frame) return undefined;
  if (index.salt1 !== at.salt1 || index.salt2 !== at.salt2) return undefined;
  const frame = readFrameHeader(files, at.frame);
  const isSame =
    frame !== undefined &&
    frame.commit > 0 &&
    frame.salt1 === at.salt1 &&
    frame.salt2 === at.salt2 &&
    frame.checksum1 === at.checksum1 &&
    frame.checksum2 === at.checksum2;
  if (!isSame) return undefined;
  const isBehind = index.frameCount > at.frame;
  // The counter at a frame before the last one is not known; it is set when capture has caught up.
  const changeCounter = isBehind ? undefined : index.changeCounter;
  return { isResumed: true, isBehind, position: at, commit: frame.commit, changeCounter };
}

function locked(path: string, why: string): HeadwaterError {
  return new HeadwaterError(
    "capture/locked",
    `${path} cannot be attached now: ${why}. Headwater tries again by itself.`,
    { data: { path } },
  );
}
