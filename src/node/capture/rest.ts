// A database at rest: all that is committed is in the database file and nobody is in the middle of a commit, so what `stat`
// says of its files tells whether anything has happened since. Asking costs microseconds and opens nothing.
import { statSync, type BigIntStats } from "node:fs";
import type { CheckpointParts } from "./checkpoint.ts";

/** Whoever writes to a file changes these. The time of the inode (`ctime`) cannot be set back, as that of the content can. */
export interface FileFacts {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface RestFacts {
  readonly database: FileFacts;
  /** `undefined` if there is no WAL, or an empty one: who only reads makes it and takes it away again. */
  readonly wal: FileFacts | undefined;
}

/** Files are stamped in steps of some milliseconds, of seconds on some file systems: a younger stamp could be given twice. */
const stampAgeMs = 2_500;

/** How long to try for the write lock. */
const lockBudgetMs = 1_000;

/** What the files at `path` (links followed) are like now; `undefined` if there is no database. */
export function readRestFacts(path: string): RestFacts | undefined {
  const database = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (database === undefined) return undefined;
  const wal = statSync(`${path}-wal`, { bigint: true, throwIfNoEntry: false });
  return {
    database: toFileFacts(database),
    wal: wal === undefined || wal.size === 0n ? undefined : toFileFacts(wal),
  };
}

export function toFileFacts({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileFacts {
  return { device: dev, inode: ino, sizeBytes: size, mtimeNs, ctimeNs };
}

export function isSameFile(one: FileFacts | undefined, other: FileFacts | undefined): boolean {
  return (
    one?.mtimeNs === other?.mtimeNs &&
    one?.ctimeNs === other?.ctimeNs &&
    one?.sizeBytes === other?.sizeBytes &&
    one?.inode === other?.inode &&
    one?.device === other?.device
  );
}

export function isSameRest(one: RestFacts, other: RestFacts | undefined): boolean {
  return (
    other !== undefined &&
    isSameFile(one.database, other.database) &&
    isSameFile(one.wal, other.wal)
  );
}

/**
 * The facts under the write lock, while the database file alone is what has been captured; `undefined` if it is not so,
 * or if a write now could leave the same facts. It is on the disk then: a power cut does not take it back.
 */
export async function takeRestFacts(
  { files, guard, tracker, clock, handOver, isReferenced }: CheckpointParts,
  { signal }: { readonly signal: AbortSignal },
): Promise<RestFacts | undefined> {
  if (isReferenced() || !handOver.finish()) return undefined;
  const before = readRestFacts(files.path);
  await files.sync();
  // A writer writes the WAL before it tells the wal-index; without the lock it could be in between.
  if (!(await guard.lockWriters({ clock, signal, budgetMs: lockBudgetMs }))) return undefined;
  try {
    if (isReferenced() || tracker.advance() !== "complete") return undefined;
    if (tracker.pending.transactions > 0 || tracker.tailFrames > 0) return undefined;
    const facts = files.identity() === "same" ? readRestFacts(files.path) : undefined;
    if (facts === undefined || !isSameRest(facts, before)) return undefined;
    const sizeBytes = BigInt(tracker.pending.commit) * BigInt(files.pageSize);
    if (facts.database.sizeBytes !== sizeBytes) return undefined;
    return isSettled(facts, clock.nowMs()) ? facts : undefined;
  } finally {
    guard.unlockWriters();
  }
}

/** No write from now on can give the stamps that the files have. Stamps far in the future are as good as old ones. */
function isSettled({ database, wal }: RestFacts, nowMs: number): boolean {
  return [database, wal].every((file) => {
    if (file === undefined) return true;
    const stampMs = Number(file.mtimeNs / 1_000_000n);
    return Math.abs(nowMs - stampMs) > stampAgeMs;
  });
}
