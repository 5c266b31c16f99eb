// SQLite connections on a live database. They never write to it: one guards, one holds the write lock for moments.
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** Reads something real: BEGIN alone, or a SELECT without a table, takes no lock. */
const readSomething = "SELECT 1 FROM sqlite_schema LIMIT 1";

/** Opens an existing database; never creates one. Throws SQLite's error. */
export function openConnection(path: string, mode: "read-write" | "read-only"): DatabaseSync {
  const url = pathToFileURL(path);
  url.searchParams.set("mode", mode === "read-write" ? "rw" : "ro");
  const connection = new DatabaseSync(url, { readOnly: mode === "read-only", timeout: 0 });
  // Otherwise a commit of ours could checkpoint. We make none, but this must not depend on it.
  connection.exec("PRAGMA wal_autocheckpoint=0");
  return connection;
}

/** Reads once outside a transaction; from then on the connection counts as a user of the database. */
export function readOnce(connection: DatabaseSync): void {
  connection.prepare(readSomething).get();
}

/** Opens a read transaction that holds its lock. Throws SQLite's error and leaves no transaction then. */
export function beginRead(connection: DatabaseSync): void {
  connection.exec("BEGIN");
  try {
    connection.prepare(readSomething).get();
  } catch (error) {
    connection.exec("ROLLBACK");
    throw error;
  }
}

/**
 * Closes connections and keeps the WAL. The last connection to close checkpoints and deletes the WAL, unless it is
 * read-only: SQLite then cannot take the exclusive lock it needs. So a read-only one that has read goes last.
 */
export function closeKeepingWal(path: string, connections: readonly DatabaseSync[]): void {
  let last: DatabaseSync | undefined;
  try {
    last = openConnection(path, "read-only");
    readOnce(last);
  } catch {
    // The file is gone or replaced. SQLite notices that too and leaves the files alone.
  }
  for (const connection of connections) connection.close();
  last?.close();
}
