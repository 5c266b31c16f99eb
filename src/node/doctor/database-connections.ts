// Who is at work on a database: looked at several times over a second, because only what stays is worth a word. Where
// nothing stays one look is enough, so many quiet databases take no time.
import { open } from "node:fs/promises";
import { decodeWalIndex, walIndexHeaderSizeBytes } from "../../core/sqlite/wal-index.ts";
import type { WalIndex } from "../../core/sqlite/wal-index.ts";
import { platformCode } from "../../core/base/errors.ts";
import { locksOn, processName, writersOf } from "../file/file-locks.ts";
import type { LocksSeen } from "../file/file-locks.ts";
import type { DatabaseContext } from "./database-context.ts";
import type { Check, Report } from "./report.ts";
import { lockFileOf } from "./database-state.ts";

const looks = 5;
const pauseMs = 250;
/** A writer is at the header for a moment only. */
const indexReadAttempts = 5;

/** One look. */
interface Look {
  readonly locks: LocksSeen;
  /** `undefined`: there is none, or it was being written. */
  readonly index: WalIndex | undefined;
}

/** Processes that were in the way at every look. */
interface InTheWay {
  readonly readers: ReadonlySet<number>;
  /** With the whole database locked. */
  readonly exclusive: ReadonlySet<number>;
  readonly writing: ReadonlySet<number>;
}

/** Reports `long-readers` and `locks`. */
export async function checkConnections(context: DatabaseContext, report: Report): Promise<void> {
  const all: Look[] = [];
  for (;;) {
    const look = await lookAt(context.path);
    if (look === undefined) break;
    all.push(look);
    const replicators = await replicatorsOf(context, all);
    const found = inTheWay(all, replicators);
    const isQuiet = Object.values(found).every((pids) => pids.size === 0);
    if (isQuiet || all.length === looks) {
      report(await describeReaders(found));
      report(await describeLocks(found, usersOf(all).difference(replicators)));
      return;
    }
    await context.clock.sleep(pauseMs, context);
  }
  const change = "Run the doctor on Linux, on the machine and in the container of the application.";
  const found = "the locks of processes cannot be seen on this system";
  report({ name: "locks", result: "note", found, change });
}

/** `undefined` where the system does not tell. */
async function lookAt(path: string): Promise<Look | undefined> {
  const locks = await locksOn(path);
  return locks && { locks, index: await readIndex(`${path}-shm`) };
}

function inTheWay(all: readonly Look[], replicators: ReadonlySet<number>): InTheWay {
  return {
    readers: lastingReaders(all).difference(replicators),
    exclusive: lasting(all, ({ exclusive }) => exclusive),
    writing: lasting(all, ({ writing }) => writing).difference(replicators),
  };
}

/** A Headwater or Litestream, whose long read transaction is its work. */
async function replicatorsOf(
  { stateDirectory }: DatabaseContext,
  all: readonly Look[],
): Promise<ReadonlySet<number>> {
  const pids = new Set(await writersOf(lockFileOf(stateDirectory)));
  for (const pid of usersOf(all)) {
    if ((await processName(pid)) === "litestream") pids.add(pid);
  }
  return pids;
}

function usersOf(all: readonly Look[]): ReadonlySet<number> {
  return new Set(all.flatMap(({ locks }) => [...locks.users]));
}

async function describeReaders({ readers }: InTheWay): Promise<Check> {
  const name = "long-readers";
  if (readers.size === 0) {
    return { name, result: "ok", found: "no reader holds on to an old state of the database" };
  }
  return {
    name,
    result: "warning",
    found: `${await describe(readers)} held on to an old state of the database for the ${((looks - 1) * pauseMs) / 1000} s of looking`,
    change:
      "End read transactions soon: finalize or reset statements, close cursors, commit. While one is open the WAL cannot " +
      "be emptied and grows with every commit.",
    values: { readers: readers.size },
  };
}

/** Processes that were in a read transaction on one read mark at every look, behind the newest commit. */
function lastingReaders(all: readonly Look[]): Set<number> {
  const marks = all[0]?.locks.reading.keys() ?? [];
  const readers = [...marks]
    .filter((mark) => isBehind(all, mark))
    .flatMap((mark) => [...lasting(all, ({ reading }) => reading[mark])]);
  return new Set(readers);
}

function isBehind(all: readonly Look[], mark: number): boolean {
  const first = all[0]?.index?.readMarks[mark];
  return all.every(({ index }) => {
    if (index === undefined) return false;
    // Readers on mark 0 read the database file alone; they hold up whoever wants to copy frames into it.
    if (mark === 0) return index.backfilledFrames < index.frameCount;
    const frame = index.readMarks[mark];
    return frame !== undefined && frame === first && frame < index.frameCount;
  });
}

async function describeLocks(
  { exclusive, writing }: InTheWay,
  users: ReadonlySet<number>,
): Promise<Check> {
  const name = "locks";
  const values = { processes: users.size };
  if (exclusive.size > 0) {
    return {
      name,
      result: "problem",
      found: `${await describe(exclusive)} keeps the database locked against everybody`,
      change:
        "Take PRAGMA locking_mode=EXCLUSIVE out of the application: a database that only one connection may read cannot " +
        "be replicated. In rollback mode, end its long write transaction.",
      values,
    };
  }
  if (writing.size > 0) {
    return {
      name,
      result: "warning",
      found: `${await describe(writing)} was in one write transaction, or in one after the other, at every look`,
      change:
        "Commit sooner: meanwhile nobody else can write, and nothing can be replicated. Set a busy timeout in every " +
        "connection.",
      values,
    };
  }
  const found =
    users.size === 0
      ? "no application has the database open"
      : `the database is open in ${await describe(users)}`;
  return { name, result: "ok", found, values };
}

/** The processes that `select` gives at every look. */
function lasting(
  all: readonly Look[],
  select: (locks: LocksSeen) => ReadonlySet<number> | undefined,
): Set<number> {
  const pids = [...usersOf(all)];
  return new Set(pids.filter((pid) => all.every(({ locks }) => select(locks)?.has(pid))));
}

async function describe(pids: ReadonlySet<number>): Promise<string> {
  const named = await Promise.all(
    [...pids]
      .slice(0, 5)
      .map(async (pid) => `process ${pid} (${(await processName(pid)) || "gone"})`),
  );
  const more = pids.size > 5 ? ` and ${pids.size - 5} more` : "";
  return named.join(", ") + more;
}

async function readIndex(path: string): Promise<WalIndex | undefined> {
  try {
    await using file = await open(path);
    const bytes = new Uint8Array(walIndexHeaderSizeBytes);
    for (let attempt = 1; ; attempt++) {
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
      const index = decodeWalIndex(bytes.subarray(0, bytesRead));
      if (index !== undefined || attempt === indexReadAttempts) return index;
    }
  } catch (error) {
    // Not being allowed to read it is said by the check of permissions.
    if (["ENOENT", "EACCES"].includes(platformCode(error) ?? "")) return undefined;
    throw error;
  }
}
