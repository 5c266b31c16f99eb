// The guard: a read transaction that keeps everybody from resetting the WAL, and its hand-overs. Protocol and reasons:
// docs/capture.md. R holds the guard and checkpoints; W takes the write lock, or guards while R lets go. The two change
// places when what W guards is where the guard is to stay.
// A guard on read mark k > 0 makes a reset impossible. On mark 0 (nothing left to backfill) a writer may
// restart the WAL once, and only while no frame exists beyond those R saw.
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { assert, must } from "../../core/base/assert.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { WalIndex } from "../../core/sqlite/wal-index.ts";
import { beginRead, closeKeepingWal } from "./connections.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { isBusy, toCaptureError } from "./sqlite-errors.ts";

/** What `PRAGMA wal_checkpoint` reports. */
export interface CheckpointReport {
  readonly isBusy: boolean;
  readonly walFrames: number;
  readonly backfilledFrames: number;
}

export interface LockWritersOptions {
  readonly clock: Clock;
  /** How long to try. */
  readonly budgetMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called between attempts. */
  readonly whileWaiting?: () => void;
}

const attemptsPerTurn = 8;
/** After this long a writer is not between two commits but in a long transaction; then the loop rests between turns. */
const spinMs = 200;
const restMs = 1;
/** A new read transaction can fail for moments while another process recovers the wal-index. */
const retakeAttempts = 2000;

/**
 * Whoever checkpoints next copies all that R's old mark held back. Waiting in a tight loop makes that us: an application
 * that finds it in a commit would have to copy it there.
 */
const checkpointAttempts = 500;

/** A connection, and what R does in a hurry: what an application commits between the two it may have to checkpoint itself. */
interface Side {
  readonly connection: DatabaseSync;
  /** Prepared while nobody waits for it. */
  quick: { readonly letGo: StatementSync; readonly checkpoint: StatementSync } | undefined;
}

/** Holds both connections of an attachment. */
export class Guard {
  #reader: Side;
  #writer: Side;
  readonly #files: DatabaseFiles;
  #writerState: "idle" | "guarding" | "locking" = "idle";
  /** While W guards: surely on a mark above 0. */
  #isWriterAboveZero = false;
  #isHeld = false;
  #isLost = false;
  #mayBeOnMarkZero = true;

  constructor(reader: DatabaseSync, writer: DatabaseSync, files: DatabaseFiles) {
    this.#reader = { connection: reader, quick: prepareQuick(reader) };
    this.#writer = { connection: writer, quick: undefined };
    this.#files = files;
  }

  /** True when R could not take its guard again: what happens to the WAL is unknown until the next exact position. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** True unless R is surely on a mark above 0. */
  get mayBeOnMarkZero(): boolean {
    return this.#mayBeOnMarkZero;
  }

  /** True while W guards too. */
  get isDoubled(): boolean {
    return this.#writerState === "guarding";
  }

  /**
   * Takes the write lock: no commit and no reset happens until `unlockWriters`. Tries again at once and gives up after the budget
   * (`false`). SQLite's own waiting sleeps ever longer and starves among busy writers.
   */
  async lockWriters({
    clock,
    budgetMs,
    signal,
    whileWaiting,
  }: LockWritersOptions): Promise<boolean> {
    assert(this.#writerState === "idle", "W is in use");
    const startMs = clock.monotonicMs();
    for (;;) {
      signal?.throwIfAborted();
      for (let attempt = 0; attempt < attemptsPerTurn; attempt++) {
        if (this.#tryLockWriters()) return true;
      }
      whileWaiting?.();
      const elapsedMs = clock.monotonicMs() - startMs;
      if (elapsedMs > budgetMs) return false;
      if (elapsedMs < spinMs) await nextTurn();
      else await clock.sleep(restMs, { signal });
    }
  }

  /** Lets writers go on. */
  unlockWriters(): void {
    assert(this.#writerState === "locking", "W holds no write lock");
    this.#writer.connection.exec("ROLLBACK");
    this.#writerState = "idle";
  }

  /** Makes W a second guard; `false` if it could not be taken now. */
  double(): boolean {
    assert(this.#writerState === "idle", "W is in use");
    const before = this.#files.readIndex();
    try {
      this.#writer.quick ??= prepareQuick(this.#writer.connection);
      beginRead(this.#writer.connection);
    } catch (error) {
      if (isBusy(error)) return false;
      throw toCaptureError(error, this.#files.path);
    }
    this.#writerState = "guarding";
    this.#isWriterAboveZero = this.#isAboveZero(before);
    return true;
  }

  /** Ends the second guard. What R's new mark does not protect must be safe by now. */
  undouble(): void {
    assert(this.#writerState === "guarding", "W does not guard");
    assert(this.#isHeld || this.#isLost, "nothing else guards");
    this.#writer.connection.exec("COMMIT");
    this.#writerState = "idle";
    this.#isWriterAboveZero = false;
  }

  /**
   * Lets R's guard go, checkpoints (PASSIVE) if asked to, and takes the guard anew. W must hold the write lock or guard
   * meanwhile. If W guards on a mark above 0 it stays there as R: what was committed during the checkpoint is held back
   * too, or an application would have to copy it in its next commit. R holds a guard again when this returns or throws, or
   * `isLost` is set.
   */
  swap({ checkpoint }: { readonly checkpoint: boolean }): CheckpointReport | undefined {
    assert(this.#writerState !== "idle", "nothing guards while R lets go");
    const { letGo, checkpoint: quickly } = must(this.#reader.quick, "R's statements");
    if (this.#isHeld) letGo.run();
    this.#isHeld = false;
    let report: CheckpointReport | undefined;
    let failure: unknown;
    try {
      if (checkpoint) report = checkpointSoon(quickly);
    } catch (error) {
      failure = error;
    }
    if (this.#isWriterAboveZero) this.#exchange();
    else this.#take();
    if (failure !== undefined) throw toCaptureError(failure, this.#files.path);
    return report;
  }

  /** Empties the WAL file if nobody committed since a complete checkpoint; otherwise does nothing and returns `false`. */
  truncate(): boolean {
    assert(this.#writerState === "idle", "W is in use");
    try {
      return !runCheckpoint(prepareCheckpoint(this.#writer.connection, "TRUNCATE")).isBusy;
    } catch (error) {
      throw toCaptureError(error, this.#files.path);
    }
  }

  /** Has SQLite recover a wal-index that a dying writer left torn. */
  mendIndex(): void {
    if (this.#writerState !== "idle" || !this.double()) return;
    this.undouble();
  }

  /** Closes both connections; the WAL stays. */
  close(): void {
    closeKeepingWal(this.#files.path, [this.#writer.connection, this.#reader.connection]);
  }

  #tryLockWriters(): boolean {
    try {
      this.#writer.connection.exec("BEGIN IMMEDIATE");
    } catch (error) {
      if (isBusy(error)) return false;
      throw toCaptureError(error, this.#files.path);
    }
    this.#writerState = "locking";
    return true;
  }

  /** W, which guards, is R from now on. */
  #exchange(): void {
    [this.#reader, this.#writer] = [this.#writer, this.#reader];
    this.#writerState = "idle";
    this.#isWriterAboveZero = false;
    this.#isHeld = true;
    this.#isLost = false;
    this.#mayBeOnMarkZero = false;
  }

  #take(): void {
    const before = this.#files.readIndex();
    for (let attempt = 1; ; attempt++) {
      try {
        beginRead(this.#reader.connection);
        break;
      } catch (error) {
        if (isBusy(error) && attempt < retakeAttempts) continue;
        this.#isLost = true;
        throw toCaptureError(error, this.#files.path);
      }
    }
    this.#isHeld = true;
    this.#isLost = false;
    this.#mayBeOnMarkZero = !this.#isAboveZero(before);
  }

  /**
   * A guard that was taken after `before` is surely on a mark above 0. Frames only grow in number and backfilling only goes
   * on while the other connection guards, so this proves that some were not backfilled at the moment it was taken.
   */
  #isAboveZero(before: WalIndex | undefined): boolean {
    const after = this.#files.readIndex();
    return (
      before !== undefined &&
      after !== undefined &&
      before.salt1 === after.salt1 &&
      before.salt2 === after.salt2 &&
      after.backfilledFrames < before.frameCount
    );
  }
}

function prepareQuick(connection: DatabaseSync): Side["quick"] {
  return {
    letGo: connection.prepare("COMMIT"),
    checkpoint: prepareCheckpoint(connection, "PASSIVE"),
  };
}

/** Tries again at once while somebody else is checkpointing. */
function checkpointSoon(statement: StatementSync): CheckpointReport {
  for (let attempt = 1; ; attempt++) {
    const report = runCheckpoint(statement);
    if (!report.isBusy || attempt >= checkpointAttempts) return report;
  }
}

function prepareCheckpoint(connection: DatabaseSync, mode: "PASSIVE" | "TRUNCATE"): StatementSync {
  return connection.prepare(`PRAGMA wal_checkpoint(${mode})`);
}

function runCheckpoint(statement: StatementSync): CheckpointReport {
  try {
    const row = must(statement.get(), "report");
    return {
      isBusy: row["busy"] !== 0,
      walFrames: Number(row["log"]),
      backfilledFrames: Number(row["checkpointed"]),
    };
  } catch (error) {
    if (isBusy(error)) return { isBusy: true, walFrames: -1, backfilledFrames: -1 };
    throw error;
  }
}
