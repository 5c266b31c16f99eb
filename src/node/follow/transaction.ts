// One transaction on the output, by SQLite's own protocol but with our own writes: the old pages into a rollback journal,
// the new pages into the database, the journal removed. Whatever stops in between, whoever opens the database next, be
// it a reader, finds the journal and has SQLite undo it. The caller holds SQLite's exclusive lock all the while.
import { dirname } from "node:path";
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import { viewOf } from "../../core/base/bytes.ts";
import { lockPgno } from "../../core/base/page.ts";
import type { Random } from "../../core/base/random.ts";
import { patchDatabaseHeader } from "../../core/sqlite/database-header.ts";
import {
  encodeJournalHeader,
  journalRecordSizeBytes,
  journalSectorSizeBytes,
  sealJournalRecord,
} from "../../core/sqlite/journal.ts";
import { type PageChange, readRuns } from "./page-change.ts";

/** Bytes of records held in memory at a time. */
const journalChunkBytes = 1024 * 1024;

export interface TransactionTarget {
  readonly fileSystem: FileSystem;
  readonly random: Random;
  /** Of the database. Its journal is `<path>-journal`. */
  readonly path: string;
  /** The database, opened long ago and closed when SQLite has let go of it. */
  readonly file: OpenFile;
  readonly pageSize: number;
  /** Its size in pages. */
  readonly commit: number;
}

/**
 * Applies `change`, with `changeCounter` in page 1. Resolves when it is durable. If it throws, the database must be left to
 * SQLite: release the lock and take it again, and what was written is undone.
 */
export async function writeTransaction(
  target: TransactionTarget,
  change: PageChange,
  changeCounter: number,
): Promise<void> {
  const { fileSystem, path, file } = target;
  const journalPath = `${path}-journal`;
  await writeJournal(target, journaledPages(change, target), journalPath);
  await writePages(file, change, changeCounter);
  await file.sync();
  // From here on it is committed.
  await fileSystem.unlink(journalPath);
  await fileSystem.syncDirectory(dirname(path));
}

/** Writes `change` into a database file that nobody reads meanwhile, with `changeCounter` in page 1. Nothing is synced. */
export async function writePages(
  file: OpenFile,
  change: PageChange,
  changeCounter: number,
): Promise<void> {
  const { pageSize, keep, commit } = change;
  // Never to nothing: SQLite takes the journal of an empty database for one left behind, and removes it.
  const keptBytes = Math.max(keep, 1) * pageSize;
  const { sizeBytes } = await file.status();
  if (keptBytes < sizeBytes) await file.truncate(keptBytes);
  const header = { pageCount: commit, changeCounter };
  if (change.pgnos[0] !== 1) {
    const first = new Uint8Array(pageSize);
    await file.read(first, 0);
    patchDatabaseHeader(first, header);
    await file.write(first, 0);
  }
  for await (const { first, pages } of readRuns(change)) {
    if (first === 1) patchDatabaseHeader(pages, header);
    await file.write(pages, (first - 1) * pageSize);
  }
  await file.truncate(commit * pageSize);
}

/** Where a journal lies until it is whole. */
export function journalDraftOf(path: string): string {
  return `${path}-follow.journal`;
}

/** The journal gets its name when it is whole and on disk, so nobody ever meets a part of it. */
async function writeJournal(
  target: TransactionTarget,
  pgnos: readonly number[],
  journalPath: string,
): Promise<void> {
  const { fileSystem, random, file, path, pageSize, commit } = target;
  const nonce = viewOf(random.bytes(4)).getUint32(0);
  const temporary = journalDraftOf(path);
  {
    await using journal = await fileSystem.open(temporary, "create");
    // Whoever may use the database must be able to undo what is in its journal.
    await journal.setOwnership(await file.status());
    const header = {
      recordCount: pgnos.length,
      nonce,
      pageCount: commit,
      sectorSize: journalSectorSizeBytes,
      pageSize,
    };
    let at = 0;
    const write = async (bytes: Uint8Array): Promise<void> => {
      await journal.write(bytes, at);
      at += bytes.length;
    };
    await write(encodeJournalHeader(header));
    const recordSize = journalRecordSizeBytes(pageSize);
    const chunk = new Uint8Array(Math.ceil(journalChunkBytes / recordSize) * recordSize);
    let filled = 0;
    for (const pgno of pgnos) {
      const record = chunk.subarray(filled, filled + recordSize);
      await file.read(record.subarray(4, 4 + pageSize), (pgno - 1) * pageSize);
      sealJournalRecord(record, { pgno, nonce, pageSize });
      filled += recordSize;
      if (filled < chunk.length) continue;
      await write(chunk);
      filled = 0;
    }
    await write(chunk.subarray(0, filled));
    await journal.sync();
  }
  await fileSystem.rename(temporary, journalPath);
  await fileSystem.syncDirectory(dirname(path));
}

/** Pages that the database has before the change and not as they are after it. Page 1 gets a new change counter. */
function journaledPages(
  { pgnos, keep }: PageChange,
  { pageSize, commit }: TransactionTarget,
): readonly number[] {
  const old = [1];
  for (const pgno of pgnos) if (pgno > 1 && pgno <= Math.min(keep, commit)) old.push(pgno);
  // SQLite takes the lock page for the end of a journal.
  const lock = lockPgno(pageSize);
  for (let pgno = Math.max(keep, 1) + 1; pgno <= commit; pgno++) if (pgno !== lock) old.push(pgno);
  return old;
}
