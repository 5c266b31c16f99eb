// An exact position: under a momentary write lock nobody commits or resets the WAL, so the guard that R takes and the
// wal-index that is read are of one state.
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { WalIndex } from "../../core/sqlite/wal-index.ts";
import type { CapturePosition } from "./capture-types.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { readFrameHeader } from "./frame-scan.ts";
import type { Guard } from "./guard.ts";
import { isSameFile, type RestFacts } from "./rest.ts";
import type { TrackerStart } from "./tracker.ts";

/** How long to try to get between two commits. */
const lockBudgetMs = 5000;

export interface TakeExactPositionOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes the guard anew and calls `settle` with the state that belongs to it, while nobody can commit.
 * Throws `capture/locked` if a writer holds on to its lock.
 */
export async function takeExactPosition<T>(
  guard: Guard,
  files: DatabaseFiles,
  { clock, signal }: TakeExactPositionOptions,
  settle: (index: WalIndex) => T,
): Promise<T> {
  if (!(await guard.lockWriters({ clock, signal, budgetMs: lockBudgetMs }))) {
    throw locked(files.path, "another connection keeps it in a long write transaction");
  }
  try {
    guard.swap({ checkpoint: false });
    const index = files.readIndex();
    if (index === undefined) throw locked(files.path, "its wal-index is being recovered");
    return settle(index);
  } finally {
    guard.unlockWriters();
  }
}

/** The end of what is committed in `index`. */
export function endOfWal(files: DatabaseFiles, index: WalIndex): TrackerStart {
  const hasFrames = index.frameCount > 0;
  return {
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
export function continuationOf(
  files: DatabaseFiles,
  index: WalIndex,
  at: CapturePosition,
): TrackerStart | undefined {
  if (at.frame === 0 || index.frameCount < at.frame) return undefined;
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
  // The counter at that frame is not known; it is set when capture has caught up.
  return { position: at, commit: frame.commit, changeCounter: undefined };
}

/**
 * The start of the WAL, if the database file is still the one that held everything: whatever the WAL holds was committed
 * since, and whoever had copied any of it would have changed the file.
 */
export function startAfterRest(
  files: DatabaseFiles,
  index: WalIndex,
  { database }: RestFacts,
): TrackerStart | undefined {
  if (!isSameFile(files.databaseFacts, database)) return undefined;
  return {
    position: { salt1: index.salt1, salt2: index.salt2, frame: 0, checksum1: 0, checksum2: 0 },
    commit: files.databaseSizeBytes / files.pageSize,
    changeCounter: index.frameCount === 0 ? index.changeCounter : undefined,
  };
}

function locked(path: string, why: string): HeadwaterError {
  return new HeadwaterError(
    "capture/locked",
    `${path} cannot be attached now: ${why}. Headwater tries again by itself.`,
    { data: { path } },
  );
}
