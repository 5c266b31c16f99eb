// Attaching to a database: refuse in plain words what is not one, switch it to WAL mode if need be, open both
// connections, and find the exact position while nobody can commit.
import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { HeadwaterError, hasCode, messageOf, platformCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import {
  databaseHeaderSizeBytes,
  decodeDatabaseHeader,
  type DatabaseHeader,
} from "../../core/sqlite/database-header.ts";
import type { OpenCaptureOptions } from "./capture-types.ts";
import { closeKeepingWal, openConnection, readOnce } from "./connections.ts";
import { DatabaseFiles, readFully } from "./database-files.ts";
import { acquireDescriptors, inodeKey, type Descriptors } from "./descriptors.ts";
import { continuationOf, endOfWal, startAfterRest, takeExactPosition } from "./exact-position.ts";
import { Guard } from "./guard.ts";
import { maxTailBytes } from "./hand-over.ts";
import { isBusy, toCaptureError } from "./sqlite-errors.ts";
import { Tracker } from "./tracker.ts";

/** An attached database. Whoever gets it closes the guard, then the files. */
export interface Attachment {
  readonly files: DatabaseFiles;
  readonly guard: Guard;
  /** Placed where capture begins. */
  readonly tracker: Tracker;
  /** True when that is where it stopped. */
  readonly isResumed: boolean;
  /** The SQLite that wrote last, as in the database's header. */
  readonly sqliteVersion: number;
}

/** Attaches, or throws `capture/*` and leaves nothing open. */
export async function attach(options: OpenCaptureOptions): Promise<Attachment> {
  const path = findDatabase(options.path);
  const descriptors = openDatabase(path);
  const connections: DatabaseSync[] = [];
  let files: DatabaseFiles | undefined;
  try {
    const before = refuseOtherFiles(descriptors, path);
    const reader = openConnection(path, "read-write");
    connections.push(reader);
    refuseReplacedFile(descriptors, path);
    ensureWalMode(reader, path, options.logger);
    const header = readHeader(descriptors);
    files = new DatabaseFiles(descriptors, { given: options.path, real: path }, header.pageSize);
    const writer = openConnection(path, "read-write");
    connections.unshift(writer);
    const guard = new Guard(reader, writer, files);
    const place = await startTracking(files, guard, options);
    // Switching to WAL mode has put our own version into the header.
    return { files, guard, ...place, sqliteVersion: (before ?? header).sqliteVersion };
  } catch (error) {
    if (connections.length > 0) closeKeepingWal(path, connections);
    if (files === undefined) descriptors.release();
    else files.close();
    throw toCaptureError(error, path);
  }
}

/** Places a tracker where an earlier run stopped if the WAL surely continues there, else at the end of the WAL. */
async function startTracking(
  files: DatabaseFiles,
  guard: Guard,
  options: OpenCaptureOptions,
): Promise<{ readonly tracker: Tracker; readonly isResumed: boolean }> {
  const { logger, resumeAt, atRest } = options;
  return takeExactPosition(guard, files, options, (index) => {
    const end = endOfWal(files, index);
    const earlier =
      (resumeAt && continuationOf(files, index, resumeAt)) ??
      (atRest && startAfterRest(files, index, atRest));
    const tracker = new Tracker(files, logger, earlier ?? end);
    let isResumed = earlier !== undefined;
    if (isResumed && guard.mayBeOnMarkZero) {
      // All is backfilled, so the next writer may overwrite the frames that are still to be read: now or never.
      isResumed = readRest(tracker);
      if (!isResumed) tracker.restart(end);
    }
    tracker.guardTaken(guard);
    return { tracker, isResumed };
  });
}

/** Reads what follows an earlier position into memory; `false` if it is too much, or not what it was. */
function readRest(tracker: Tracker): boolean {
  try {
    tracker.advance();
    if (tracker.unreadBytes > maxTailBytes) return false;
    tracker.materialise();
    return true;
  } catch (error) {
    if (hasCode(error, "capture/gap")) return false;
    throw error;
  }
}

/** The real path of the file, after a look at it that opens nothing. */
function findDatabase(given: string): string {
  try {
    const path = realpathSync(given);
    const status = statSync(path);
    if (!status.isFile()) {
      const what = status.isDirectory() ? "a directory" : "not a regular file";
      throw new HeadwaterError(
        "capture/not-a-database",
        `${path} is ${what}. Give the path of a SQLite database file.`,
        { data: { path } },
      );
    }
    // SQLite would make a database of it, and make it ours.
    if (status.size === 0) {
      throw new HeadwaterError(
        "capture/empty",
        `${path} is empty: no application has created its database yet. Headwater waits for it.`,
        { data: { path } },
      );
    }
    accessSync(path, constants.R_OK | constants.W_OK);
    return path;
  } catch (error) {
    throw toFileError(error, given);
  }
}

function openDatabase(path: string): Descriptors {
  try {
    return acquireDescriptors(path);
  } catch (error) {
    throw toFileError(error, path);
  }
}

function toFileError(error: unknown, path: string): unknown {
  if (error instanceof HeadwaterError) return error;
  const details = { cause: error, data: { path } };
  const code = platformCode(error);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new HeadwaterError(
      "capture/gone",
      `There is no database at ${path}. Headwater attaches when one appears; check the path if one should be there.`,
      details,
    );
  }
  return new HeadwaterError(
    "capture/unreadable",
    `${path} cannot be opened for reading and writing (${messageOf(error)}). Check owner and permissions of the file.`,
    details,
  );
}

function readHeader(descriptors: Descriptors): DatabaseHeader {
  const bytes = new Uint8Array(databaseHeaderSizeBytes);
  const count = readFully(descriptors.database, bytes, 0);
  return decodeDatabaseHeader(bytes.subarray(0, count));
}

function refuseOtherFiles(descriptors: Descriptors, path: string): DatabaseHeader | undefined {
  // A crash can leave a torn first page that SQLite mends from the journal when it opens the file.
  if (existsSync(`${path}-journal`)) return undefined;
  try {
    return readHeader(descriptors);
  } catch (error) {
    if (!hasCode(error, "sqlite/invalid")) throw error;
    throw new HeadwaterError("capture/not-a-database", `${path}: ${error.message}`, {
      cause: error,
      data: { path },
    });
  }
}

/** The connection must be on the file whose descriptor was opened before it. */
function refuseReplacedFile(descriptors: Descriptors, path: string): void {
  const status = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (status !== undefined && inodeKey(status) === descriptors.key) return;
  throw new HeadwaterError(
    "capture/gone",
    `${path} was replaced at the moment of attaching. Headwater tries again.`,
    { data: { path } },
  );
}

/** Switches to WAL mode if need be, reads once, and makes sure that others see the switch too. */
function ensureWalMode(reader: DatabaseSync, path: string, logger: Logger): void {
  try {
    const before = journalMode(reader, "");
    if (before !== "wal") {
      const after = journalMode(reader, "=wal");
      if (after !== "wal") throw notInWalMode(path, after);
      logger.log("warn", "capture.switched-to-wal", { path, from: before });
    }
    // Until a reader has read, an application can switch back and our connection would not notice.
    readOnce(reader);
    if (!existsSync(`${path}-shm`)) throw notInWalMode(path, "not shared");
  } catch (error) {
    if (isBusy(error)) {
      throw new HeadwaterError(
        "capture/locked",
        `${path} is locked by another connection, so it cannot be read or switched to WAL mode now. Headwater tries ` +
          "again; an application with PRAGMA locking_mode=EXCLUSIVE cannot be replicated.",
        { cause: error, data: { path } },
      );
    }
    throw error;
  }
}

function journalMode(reader: DatabaseSync, change: "" | "=wal"): string {
  return String(reader.prepare(`PRAGMA journal_mode${change}`).get()?.["journal_mode"]);
}

function notInWalMode(path: string, mode: string): HeadwaterError {
  return new HeadwaterError(
    "capture/locked",
    `${path} does not stay in WAL mode (it is ${mode}). Headwater tries again; an application that sets another ` +
      "journal_mode or locking_mode=EXCLUSIVE cannot be replicated.",
    { data: { path, mode } },
  );
}
