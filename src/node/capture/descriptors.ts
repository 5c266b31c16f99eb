// Long-lived descriptors of databases. POSIX drops every lock a process holds on a file when the process closes
// any descriptor of it, SQLite's locks included. So a database and its -shm are opened once per process and inode,
// the database before SQLite opens it, and closed only when no connection of ours is left. (The -wal carries no locks.)
import { closeSync, fstatSync, openSync, statSync, type BigIntStats } from "node:fs";
import { assert } from "../../core/base/assert.ts";

interface Entry {
  readonly key: string;
  readonly database: number;
  /** Every descriptor of the database or a -shm of it, all closed together. */
  readonly open: number[];
  /** Descriptors of -shm files by inode. */
  readonly shmByInode: Map<string, number>;
  users: number;
}

const entryByInode = new Map<string, Entry>();

/** Text that names an inode: two paths with the same text are one file. */
export function inodeKey(status: BigIntStats): string {
  return `${status.dev}:${status.ino}`;
}

/** One attachment's share of the descriptors. */
export interface Descriptors {
  /** Read-only descriptor of the database. */
  readonly database: number;
  /** Names the inode of the database. */
  readonly key: string;
  /** Read-only descriptor of the -shm at `path`. Only after SQLite has read through it. */
  openShm(path: string): number;
  /** Call when every connection of this attachment is closed. The last one closes the descriptors. */
  release(): void;
}

/** Opens the database at `path` for reading, or shares the descriptor this process has. Throws the platform's error. */
export function acquireDescriptors(path: string): Descriptors {
  const entry = findEntry(path) ?? openEntry(path);
  entry.users++;
  let released = false;
  return {
    database: entry.database,
    key: entry.key,
    openShm: (shmPath) => openShm(entry, shmPath),
    release: () => {
      assert(!released, "descriptors released twice");
      released = true;
      if (--entry.users > 0) return;
      entryByInode.delete(entry.key);
      for (const descriptor of entry.open) closeSync(descriptor);
    },
  };
}

function findEntry(path: string): Entry | undefined {
  return entryByInode.get(inodeKey(statSync(path, { bigint: true })));
}

function openEntry(path: string): Entry {
  const database = openSync(path, "r");
  const key = inodeKey(fstatSync(database, { bigint: true }));
  const known = entryByInode.get(key);
  if (known !== undefined) {
    // The path was renamed between the look and the open. Closing this descriptor now would drop locks.
    known.open.push(database);
    return known;
  }
  const entry: Entry = { key, database, open: [database], shmByInode: new Map(), users: 0 };
  entryByInode.set(key, entry);
  return entry;
}

function openShm(entry: Entry, path: string): number {
  const known = entry.shmByInode.get(inodeKey(statSync(path, { bigint: true })));
  if (known !== undefined) return known;
  const descriptor = openSync(path, "r");
  entry.open.push(descriptor);
  entry.shmByInode.set(inodeKey(fstatSync(descriptor, { bigint: true })), descriptor);
  return descriptor;
}
