// Who holds which locks on a SQLite database, from /proc/locks (proc(5)) and SQLite's lock bytes. Opens nothing: looking
// does not disturb a live database. Only processes that this one may see are listed; of another container's there are none.
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { mountOf } from "./file-systems.ts";

/** Lock bytes of the wal-index (https://www.sqlite.org/walformat.html section 2.3.1). */
const writeLockByte = 120;
const readLockByte = 123;
const readLockCount = 5;
/** The shared range of the database file (src/os.h of SQLite). */
const sharedFirstByte = 0x4000_0002;

export interface FileLock {
  readonly kind: "read" | "write";
  readonly pid: number;
  readonly device: string;
  readonly inode: number;
  readonly first: number;
  readonly last: number;
}

/** What processes do with a database at one moment. */
export interface LocksSeen {
  /** Connected to it. */
  readonly users: ReadonlySet<number>;
  /** With the database file locked against everybody. */
  readonly exclusive: ReadonlySet<number>;
  /** In a write transaction of the WAL. */
  readonly writing: ReadonlySet<number>;
  /** In a read transaction, by read mark 0 to 4. */
  readonly reading: readonly ReadonlySet<number>[];
}

/** The locks on the database at `path`; `undefined` where the system does not tell. */
export async function locksOn(path: string): Promise<LocksSeen | undefined> {
  const locks = await systemLocks();
  const device = (await mountOf(path))?.device;
  if (locks === undefined || device === undefined) return undefined;
  const onFile = async (file: string): Promise<readonly FileLock[]> => {
    const inode = (await stat(file).catch(() => undefined))?.ino;
    return locks.filter((lock) => lock.inode === inode && lock.device === device);
  };
  const database = await onFile(path);
  const index = await onFile(`${path}-shm`);
  const at = (byte: number): ReadonlySet<number> =>
    pidsOf(index.filter(({ first, last }) => first <= byte && byte <= last));
  return {
    users: pidsOf([...database, ...index]),
    exclusive: pidsOf(
      database.filter(({ kind, last }) => kind === "write" && last >= sharedFirstByte),
    ),
    writing: at(writeLockByte),
    reading: Array.from({ length: readLockCount }, (_, mark) => at(readLockByte + mark)),
  };
}

/** Who holds a write lock on the file; `undefined` where the system does not tell. */
export async function writersOf(path: string): Promise<ReadonlySet<number> | undefined> {
  const locks = await systemLocks();
  const device = (await mountOf(path))?.device;
  if (locks === undefined || device === undefined) return undefined;
  const inode = (await stat(path).catch(() => undefined))?.ino;
  return pidsOf(
    locks.filter((lock) => lock.kind === "write" && lock.inode === inode && lock.device === device),
  );
}

async function systemLocks(): Promise<readonly FileLock[] | undefined> {
  try {
    return parseLocks(await readFile("/proc/locks", "utf8"));
  } catch {
    return undefined;
  }
}

/** The POSIX locks in the text of /proc/locks; those that are waited for (`->`) are left out. */
export function parseLocks(text: string): readonly FileLock[] {
  const pattern =
    /^\d+: POSIX +\w+ +(?<kind>READ|WRITE) +(?<pid>\d+) (?<major>[0-9a-f]+):(?<minor>[0-9a-f]+):(?<inode>\d+) (?<first>\d+) (?<last>\d+|EOF)$/gmu;
  return [...text.matchAll(pattern)].map(({ groups = {} }) => ({
    kind: groups["kind"] === "WRITE" ? "write" : "read",
    pid: Number(groups["pid"]),
    device: [groups["major"], groups["minor"]]
      .map((part = "") => Number.parseInt(part, 16))
      .join(":"),
    inode: Number(groups["inode"]),
    first: Number(groups["first"]),
    last: groups["last"] === "EOF" ? Infinity : Number(groups["last"]),
  }));
}

function pidsOf(locks: readonly FileLock[]): ReadonlySet<number> {
  return new Set(locks.map(({ pid }) => pid));
}

/** The name of the program of a process, without its arguments; empty if it is gone. */
export async function processName(pid: number): Promise<string> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return basename(commandLine.split("\0")[0] ?? "");
}
