// How far capture has come. The wal-index says what is committed; the frames up to there are read once, checked
// by salts and running checksum against each frame and against the wal-index, and noted as pending.
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { walFrameHeaderSizeBytes } from "../../core/sqlite/wal.ts";
import type { WalIndex } from "../../core/sqlite/wal-index.ts";
import type { CapturePosition } from "./capture-types.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { readCommittedFrames, type CommittedFrames } from "./frame-scan.ts";
import { fillGrowth } from "./growth.ts";
import { PageReader } from "./page-reader.ts";
import { PendingPages } from "./pending.ts";

/** Where tracking starts. */
export interface TrackerStart {
  readonly position: CapturePosition;
  /** Database size in pages at the position. */
  readonly commit: number;
  /** SQLite's change counter at the position, if it is known. */
  readonly changeCounter: number | undefined;
}

export type AdvanceResult =
  /** Everything that is committed has been noted. */
  | "complete"
  /** The limit was reached before. */
  | "more"
  /** The wal-index stayed torn: a writer or a recovery is at it, or died at it. */
  | "unreadable";

/** Follows the WAL of one attachment. */
export class Tracker {
  readonly #files: DatabaseFiles;
  readonly #logger: Logger;
  readonly #reader: PageReader;
  #position: CapturePosition;
  /** Where what is pending begins. */
  #pendingStart: CapturePosition;
  #changeCounter: number | undefined;
  #pending: PendingPages;
  #walFrames: number;
  #backfilledFrames = 0;
  /** The smallest size in pages that a checkpoint can have given the file since it was known. */
  #leastCommit: number;
  /** True while a writer may start the WAL anew right where we are. */
  #mayRestart = false;
  /** Up to here everything had been noted when R's guard was taken: that lies at this frame or before it. */
  #guardFrame = 0;
  /** True from a restart of the WAL until the change counter has shown that no commit was missed there. */
  #isRestartUnproved = false;

  constructor(files: DatabaseFiles, logger: Logger, start: TrackerStart) {
    this.#files = files;
    this.#logger = logger;
    this.#reader = new PageReader(files);
    this.#position = start.position;
    this.#pendingStart = start.position;
    this.#changeCounter = start.changeCounter;
    this.#pending = new PendingPages(start.commit, files.pageSize);
    this.#walFrames = start.position.frame;
    this.#leastCommit = leastCommit(files, start);
  }

  get position(): CapturePosition {
    return this.#position;
  }

  /** The position that what is pending continues. */
  get pendingStart(): CapturePosition {
    return this.#pendingStart;
  }

  get pending(): PendingPages {
    return this.#pending;
  }

  /** Committed frames in the WAL, as last seen. */
  get walFrames(): number {
    return this.#walFrames;
  }

  /** Frames that a checkpoint has not copied into the database file, as last seen. */
  get tailFrames(): number {
    return this.#walFrames - this.#backfilledFrames;
  }

  /** Frames committed since R's guard was taken, as last seen. Nobody can copy them before it moves on. */
  get heldBackFrames(): number {
    return this.#walFrames - this.#guardFrame;
  }

  /** True when everything captured is in the database file, and frames may be overwritten. */
  get mayRestart(): boolean {
    return this.#mayRestart;
  }

  get reader(): PageReader {
    return this.#reader;
  }

  /**
   * The database file cannot be smaller unless somebody cut it: only a complete checkpoint shortens it, to the size
   * that the last transaction in the WAL gives it.
   */
  get leastFileSizeBytes(): number {
    return this.#leastCommit * this.#files.pageSize;
  }

  /** Bytes of pending images that are not in memory. */
  get unreadBytes(): number {
    return this.#pending.unreadPageCount * this.#files.pageSize;
  }

  /** Starts over at an exact position. Drops what is pending. */
  restart(start: TrackerStart): void {
    this.#position = start.position;
    this.#changeCounter = start.changeCounter;
    this.#isRestartUnproved = false;
    this.#leastCommit = leastCommit(this.#files, start);
    this.dropPending(start.commit);
  }

  /** Tells that R has a new guard; everything up to R's snapshot had been noted if that may be on mark 0. */
  guardTaken({ mayBeOnMarkZero }: { readonly mayBeOnMarkZero: boolean }): void {
    this.#mayRestart = mayBeOnMarkZero;
    this.#guardFrame = this.#position.frame;
  }

  dropPending(commit = this.#pending.commit): void {
    this.#pending = new PendingPages(commit, this.#files.pageSize);
    this.#pendingStart = this.#position;
  }

  /** Gives up what is pending, completed by growth, and starts anew after it. */
  takePending(): PendingPages {
    const taken = this.#pending;
    fillGrowth(taken, this.#files, this.#position.frame);
    this.dropPending();
    return taken;
  }

  /** Reads every pending image into memory, so that the WAL may be reset. */
  materialise(): void {
    fillGrowth(this.#pending, this.#files, this.#position.frame);
    const pgnos = this.#pending.unreadPgnos();
    const { pageSize } = this.#files;
    const images = new Uint8Array(pgnos.length * pageSize);
    this.#reader.read(
      {
        pgnos,
        from: 0,
        count: pgnos.length,
        placeOf: (pgno) => this.#pending.placeOf(pgno),
        salts: this.#position,
      },
      images,
    );
    pgnos.forEach((pgno, i) => {
      this.#pending.keepImage(pgno, images.subarray(i * pageSize, (i + 1) * pageSize));
    });
  }

  /**
   * Notes what has been committed since, up to the first commit at which `maxBytes` of WAL are pending.
   * Throws `capture/gap`, with nothing noted, if the WAL does not continue.
   */
  advance(maxBytes = Infinity): AdvanceResult {
    const index = this.#files.readIndex();
    if (index === undefined) return "unreadable";
    this.#walFrames = index.frameCount;
    this.#backfilledFrames = index.backfilledFrames;
    const { isRestarted, start } = this.#continuation(index);
    const frameSizeBytes = this.#files.pageSize + walFrameHeaderSizeBytes;
    const maxFrames = maxBytes / frameSizeBytes - this.#pending.frames;
    if (index.frameCount > start.frame && maxFrames <= 0) return "more";
    const found = readCommittedFrames(this.#files, { index, start, maxFrames });
    const isComplete = found.end.frame === index.frameCount;
    const changeCounter = this.#checkedCounter(index, found, {
      isComplete,
      isRestartUnproved: this.#isRestartUnproved || isRestarted,
    });
    // From here on nothing fails: state changes as a whole or not at all.
    if (isRestarted) {
      this.#isRestartUnproved = true;
      this.#guardFrame = 0;
    }
    if (isComplete) this.#isRestartUnproved = false;
    if (found.transactions.length > 0) this.#mayRestart = false;
    // Before a restart the whole WAL went into the database file.
    if (isRestarted) this.#leastCommit = this.#pending.commit;
    for (const transaction of found.transactions) {
      this.#pending.add(transaction);
      this.#leastCommit = Math.min(this.#leastCommit, transaction.commit);
    }
    this.#position = found.end;
    this.#changeCounter = changeCounter;
    return isComplete ? "complete" : "more";
  }

  /** The position from which this index continues ours. */
  #continuation(index: WalIndex): {
    readonly isRestarted: boolean;
    readonly start: CapturePosition;
  } {
    const at = this.#position;
    if (index.salt1 === at.salt1 && index.salt2 === at.salt2) {
      if (index.frameCount < at.frame) {
        throw this.#gap(`it has ${index.frameCount} frames, ${at.frame} had been captured`);
      }
      const isSameFrame = index.frameCount === at.frame && at.frame > 0;
      if (isSameFrame && (index.checksum1 !== at.checksum1 || index.checksum2 !== at.checksum2)) {
        throw this.#gap(`frame ${at.frame} is not the one that had been captured`);
      }
      return { isRestarted: false, start: at };
    }
    if (!this.#mayRestart) {
      throw this.#gap("it was started anew although capture had not allowed it");
    }
    const start = { salt1: index.salt1, salt2: index.salt2, frame: 0, checksum1: 0, checksum2: 0 };
    return { isRestarted: true, start };
  }

  /** SQLite's change counter at the end of `found`. It must have grown by the commits that were found. */
  #checkedCounter(
    index: WalIndex,
    found: CommittedFrames,
    state: { readonly isComplete: boolean; readonly isRestartUnproved: boolean },
  ): number | undefined {
    const before = this.#changeCounter;
    const expected = before === undefined ? undefined : (before + found.transactions.length) >>> 0;
    if (!state.isComplete) return expected;
    if (expected !== undefined && expected !== index.changeCounter) {
      const counters = `the change counter is ${index.changeCounter} instead of ${expected}`;
      if (state.isRestartUnproved) throw this.#gap(`it was started anew and ${counters}`);
      // Same generation, and every frame from our position on has the right checksum: nothing was missed.
      // The counter starts over when SQLite recovers the wal-index after a crash.
      this.#logger.log("info", "capture.rebased", {
        path: this.#files.path,
        expected,
        changeCounter: index.changeCounter,
      });
    }
    return index.changeCounter;
  }

  #gap(why: string): HeadwaterError {
    return gap(this.#files.path, why);
  }
}

/** Without frames all is in the file. With some, a checkpoint may be on its way to any size. */
function leastCommit(files: DatabaseFiles, { position, commit }: TrackerStart): number {
  if (position.frame > 0) return 1;
  return Math.min(commit, Math.floor(files.databaseSizeBytes / files.pageSize));
}

/** The error for a WAL that does not continue. */
export function gap(path: string, why: string): HeadwaterError {
  return new HeadwaterError(
    "capture/gap",
    `The WAL of ${path} does not continue where capture stopped: ${why}. Nothing is lost: capture compares the ` +
      "whole database next.",
    { data: { path } },
  );
}
