// The guard: a read transaction that keeps everybody from resetting the WAL, and its hand-overs. Protocol and reasons:
// docs/capture.md. R holds the guard and checkpoints; W takes the write lock, or guards while R lets go.
// A guard on read mark k > 0 makes a reset impossible. On mark 0 (nothing left to backfill) a writer may
// restart the WAL once, and only while no frame exists beyond those R saw.
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { assert, must } from "../../core/base/assert.ts";
import type { Clock } from "../../core/base/clock.ts";
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

/** Holds both connections of an attachment. */
export class Guard {
  readonly #reader: DatabaseSync;
  readonly #writer: DatabaseSync;
  readonly #files: DatabaseFiles;
  /** Prepared before they are needed: what an application commits between the two it may have to checkpoint itself. */
  readonly #letGo: StatementSync;
  readonly #checkpoint: StatementSync;
  #writerState: "idle" | "guarding" | "locking" = "idle";
  #isHeld = false;
  #isLost = false;
  #mayBeOnMarkZero = true;

  constructor(reader: DatabaseSync, writer: DatabaseSync, files: DatabaseFiles) {
    this.#reader = reader;
    this.#writer = writer;
    this.#files = files;
    this.#letGo = reader.prepare("COMMIT");
    this.#checkpoint = prepareCheckpoint(reader, "PASSIVE");
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
    this.#writer.exec("ROLLBACK");
    this.#writerState = "idle";
  }

  /** Makes W a second guard; `false` if it could not be taken now. */
  double(): boolean {
    assert(this.#writerState === "idle", "W is in use");
    try {
      beginRead(this.#writer);
    } catch (error) {
      if (isBusy(error)) return false;
      throw toCaptureError(error, this.#files.path);
    }
    this.#writerState = "guarding";
    return true;
  }

  /** Ends the second guard. What R's new mark does not protect must be safe by now. */
  undouble(): void {
    assert(this.#writerState === "guarding", "W does not guard");
    assert(this.#isHeld || this.#isLost, "nothing else guards");
    this.#writer.exec("COMMIT");
    this.#writerState = "idle";
  }

  /**
   * Lets R's guard go, checkpoints (PASSIVE) if asked to, and takes the guard anew at what is committed now. W must
   * hold the write lock or guard meanwhile. R holds a guard again when this returns or throws, or `isLost` is set.
   */
  swap({ checkpoint }: { readonly checkpoint: boolean }): CheckpointReport | undefined {
    assert(this.#writerState !== "idle", "nothing guards while R lets go");
    if (this.#isHeld) this.#letGo.run();
    this.#isHeld = false;
    let report: CheckpointReport | undefined;
    let failure: unknown;
    try {
      if (checkpoint) report = checkpointSoon(this.#checkpoint);
    } catch (error) {
      failure = error;
    }
    this.#take();
    if (failure !== undefined) throw toCaptureError(failure, this.#files.path);
    return report;
  }

  /** Empties the WAL file if nobody committed since a complete checkpoint; otherwise does nothing and returns `false`. */
  truncate(): boolean {
    assert(this.#writerState === "idle", "W is in use");
    try {
      return !runCheckpoint(prepareCheckpoint(this.#writer, "TRUNCATE")).isBusy;
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
    closeKeepingWal(this.#files.path, [this.#writer, this.#reader]);
  }

  #tryLockWriters(): boolean {
    try {
      this.#writer.exec("BEGIN IMMEDIATE");
    } catch (error) {
      if (isBusy(error)) return false;
      throw toCaptureError(error, this.#files.path);
    }
    this.#writerState = "locking";
    return true;
  }

  #take(): void {
    const before = this.#files.readIndex();
    for (let attempt = 1; ; attempt++) {
      try {
        beginRead(this.#reader);
        break;
      } catch (error) {
        if (isBusy(error) && attempt < retakeAttempts) continue;
        this.#isLost = true;
        throw toCaptureError(error, this.#files.path);
      }
    }
    this.#isHeld = true;
    this.#isLost = false;
    const after = this.#files.readIndex();
    // Frames only grow in number and backfilling only goes on while W guards, so this proves that some were not
    // backfilled at the moment in between when R took its mark.
    const isSurelyAboveZero =
      before !== undefined &&
      after !== undefined &&
      before.salt1 === after.salt1 &&
      before.salt2 === after.salt2 &&
      after.backfilledFrames < before.frameCount;
    this.#mayBeOnMarkZero = !isSurelyAboveZero;
  }
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
