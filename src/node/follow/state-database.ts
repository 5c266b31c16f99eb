// Opens `<output>-follow` (state-file.ts): its tables, its lock, and what becomes of one that is damaged.
import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { isBusy } from "../capture/sqlite-errors.ts";
import { recentStatesSchema } from "./recent-states.ts";

const schema = `
  CREATE TABLE IF NOT EXISTS position(
    kind TEXT PRIMARY KEY CHECK (kind IN ('current', 'pending')),
    txid TEXT NOT NULL, timestamp_ms INTEGER NOT NULL, file_key TEXT NOT NULL, file_etag TEXT NOT NULL,
    image_txid TEXT NOT NULL, is_proved INTEGER NOT NULL, change_counter INTEGER NOT NULL, patched BLOB NOT NULL,
    page_size INTEGER NOT NULL, page_count INTEGER NOT NULL, database_checksum TEXT NOT NULL,
    inode TEXT, size_bytes INTEGER, mtime_ns TEXT) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS checksums(chunk INTEGER PRIMARY KEY, words BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS pending_checksums(chunk INTEGER PRIMARY KEY, words BLOB NOT NULL) STRICT;`;

/** Opens or makes it and holds it. One that is damaged is made anew. Throws `follow/locked` or `restore/output`. */
export function openStateDatabase(path: string): DatabaseSync {
  try {
    return openDatabase(path);
  } catch (error) {
    if (isBusy(error)) {
      throw new HeadwaterError(
        "follow/locked",
        `${path} is in use: another Headwater keeps the same file up to date. Stop it first, or choose another path.`,
        { data: { path }, cause: error },
      );
    }
    if (!isDamaged(error)) {
      throw new HeadwaterError(
        "restore/output",
        `${path} cannot be written: ${messageOf(error)}. Check space and permissions of its directory.`,
        { data: { path }, cause: error },
      );
    }
  }
  removeStateDatabase(path);
  return openDatabase(path);
}

/** Exclusive and in WAL mode: one lock for as long as we live, no -shm, and only what must be durable costs a sync. */
function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
    );
    database.exec(`BEGIN IMMEDIATE; ${schema} ${recentStatesSchema} COMMIT`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Deletes a state file that nobody has open. */
export function removeStateDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-journal"]) rmSync(path + suffix, { force: true });
}

/** SQLITE_ERROR (other tables), SQLITE_CORRUPT and SQLITE_NOTADB. */
function isDamaged(error: unknown): boolean {
  return (
    error instanceof Error &&
    "errcode" in error &&
    [1, 11, 26].includes(Number(error.errcode) & 0xff)
  );
}
