// Can a database be replicated, and how is it doing? Everything is read without SQLite and without a lock: descriptors of
// this process may be opened and closed freely, because it has no connection. So this must run in a process that has no
// SQLite open on the database (capture.md), which holds for the command line.
import { access, constants, open, stat } from "node:fs/promises";
import { platformCode } from "../../core/base/errors.ts";
import type { DatabaseHeader } from "../../core/sqlite/database-header.ts";
import {
  databaseHeaderSizeBytes,
  decodeDatabaseHeader,
  hasWalResetBug,
  isWalMode,
} from "../../core/sqlite/database-header.ts";
import { formatBytes } from "../base/quantities.ts";
import { realPathOf, stateDirectoryOf } from "../engine/state-directory.ts";
import { userText } from "./database-context.ts";
import type { DatabaseCheckOptions } from "./database-context.ts";
import { checkConnections } from "./database-connections.ts";
import { checkLocalState } from "./database-state.ts";
import type { Acknowledged } from "./database-state.ts";
import { checkDiskSpace, checkFileSystem, checkStateDirectory } from "./database-surroundings.ts";
import { failedCheck } from "./report.ts";
import type { Check, Report } from "./report.ts";

/** What the replica of the database has to fit. */
export interface DatabaseFound {
  readonly pageSize: number | undefined;
  readonly acknowledged: readonly Acknowledged[];
}

/** Above this part of the size that turns health red a WAL is worth a word. */
const walWarningPart = 0.25;

/** Reports on the database at `path` and on what is around it. */
export async function checkDatabase(
  path: string,
  options: DatabaseCheckOptions,
  report: Report,
): Promise<DatabaseFound> {
  const real = realPathOf(path);
  const stateDirectory = options.stateDir ?? stateDirectoryOf(path);
  let found: DatabaseFound = { pageSize: undefined, acknowledged: [] };
  const guarded = async (name: Check["name"], work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      options.signal?.throwIfAborted();
      report(failedCheck(name, error));
    }
  };
  const context = { ...options, path: real, stateDirectory };
  await guarded("database", async () => {
    const header = await checkFile(real, options, report);
    if (header === undefined) return;
    found = { ...found, pageSize: header.pageSize };
    report(checkJournalMode(real, header));
    report(checkWriter(header));
    report(await checkWal(real, options));
    await guarded("locks", () => checkConnections(context, report));
  });
  await guarded("state", async () => {
    found = { ...found, acknowledged: await checkLocalState(context, report) };
  });
  await guarded("state-directory", async () => report(await checkStateDirectory(context)));
  await guarded("disk-space", async () => report(await checkDiskSpace(context)));
  await guarded("file-system", async () => report(await checkFileSystem(context)));
  return found;
}

/** The header, if the file is a database; otherwise a report says what it is. */
async function checkFile(
  path: string,
  { mayBeMissing }: DatabaseCheckOptions,
  report: Report,
): Promise<DatabaseHeader | undefined> {
  const status = await stat(path).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR"].includes(platformCode(error) ?? "")) return undefined;
    throw error;
  });
  const name = "database";
  if (status === undefined) {
    const change = "Check the path. Headwater waits until a database appears there.";
    const result = mayBeMissing ? "warning" : "problem";
    report({ name, result, found: "there is no file", change });
    return undefined;
  }
  if (!status.isFile()) {
    const found = status.isDirectory() ? "it is a directory" : "it is not a regular file";
    report({ name, result: "problem", found, change: "Give the path of a SQLite database." });
    return undefined;
  }
  if (status.size === 0) {
    const change = "Nothing: Headwater begins as soon as an application creates a table in it.";
    report({ name, result: "note", found: "the file is empty as yet", change });
    return undefined;
  }
  const refused = await refusedFile(path);
  if (refused !== undefined) {
    report(refused);
    if (!(await allows(path, constants.R_OK))) return undefined;
  } else {
    report({ name: "permissions", result: "ok", found: "its files can be read and written" });
  }
  try {
    const header = decodeDatabaseHeader(await readStart(path));
    const { pageSize } = header;
    const values = { sizeBytes: status.size };
    report({ name, result: "ok", found: formatBytes(status.size), values });
    report({ name: "page-size", result: "ok", found: `${pageSize} bytes`, values: { pageSize } });
    return header;
  } catch (error) {
    report(failedCheck(name, error));
    return undefined;
  }
}

async function refusedFile(path: string): Promise<Check | undefined> {
  for (const suffix of ["", "-wal", "-shm"]) {
    const file = path + suffix;
    if (await allows(file, constants.R_OK | constants.W_OK)) continue;
    return {
      name: "permissions",
      result: "problem",
      found: `${file} cannot be read and written by ${userText()}`,
      change:
        "Run Headwater as the user of the application, or give its user read and write permission on the database, its " +
        "-wal and its -shm.",
    };
  }
  return undefined;
}

/** True as well where there is no such file. */
async function allows(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch (error) {
    return platformCode(error) === "ENOENT";
  }
}

async function readStart(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const bytes = new Uint8Array(databaseHeaderSizeBytes);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  return bytes.subarray(0, bytesRead);
}

function checkJournalMode(path: string, header: DatabaseHeader): Check {
  const name = "journal-mode";
  if (isWalMode(header)) return { name, result: "ok", found: "WAL" };
  return {
    name,
    result: "warning",
    found: "rollback journal",
    change:
      "headwater replicate switches the database to WAL mode when it starts, and it stays so. If the application sets " +
      `another journal_mode, take that out; to switch now: sqlite3 ${path} "PRAGMA journal_mode=WAL".`,
  };
}

/** The SQLite of the application, as far as the file tells. */
function checkWriter({ sqliteVersion }: DatabaseHeader): Check {
  const name = "sqlite-version";
  const version = [sqliteVersion / 1_000_000, (sqliteVersion / 1000) % 1000, sqliteVersion % 1000]
    .map(Math.floor)
    .join(".");
  const values = { version };
  if (sqliteVersion === 0) {
    return { name, result: "ok", found: "the file does not say who wrote it last", values };
  }
  if (!hasWalResetBug(sqliteVersion)) {
    return { name, result: "ok", found: `SQLite ${version} wrote last`, values };
  }
  return {
    name,
    result: "warning",
    found: `SQLite ${version} wrote last, which can lose commits when two connections checkpoint at once`,
    change: "Update SQLite in the application to 3.51.3, 3.50.7, 3.44.6 or later.",
    values,
  };
}

async function checkWal(path: string, { maxWalSizeBytes }: DatabaseCheckOptions): Promise<Check> {
  const name = "wal-size";
  const sizeBytes = (await stat(`${path}-wal`).catch(() => undefined))?.size;
  if (sizeBytes === undefined) {
    return { name, result: "ok", found: "there is no WAL: nobody has the database open" };
  }
  const values = { sizeBytes };
  if (sizeBytes <= maxWalSizeBytes * walWarningPart) {
    return { name, result: "ok", found: formatBytes(sizeBytes), values };
  }
  return {
    name,
    result: sizeBytes > maxWalSizeBytes ? "problem" : "warning",
    found: `${formatBytes(sizeBytes)}; health turns red above ${formatBytes(maxWalSizeBytes)}`,
    change:
      "Something keeps the WAL from being emptied: a long reader (below), or an application with wal_autocheckpoint=0 and " +
      "no Headwater running. The default wal_autocheckpoint is right for Headwater. A WAL that was once large stays so " +
      "until the last connection closes, which harms nothing.",
    values,
  };
}
