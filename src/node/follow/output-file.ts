// The database that is kept up to date: SQLite's locks on it, and a descriptor for our own reads and writes. Both live in one
// process, so that the locks cannot end before the writes do; and the descriptor stays open as long as SQLite has the file
// open, because closing it would drop SQLite's locks (docs/capture.md).
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Waiting, backoffMs } from "../../core/base/async.ts";
import { viewOf } from "../../core/base/bytes.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { Random } from "../../core/base/random.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import { type DatabaseHeader, isWalMode } from "../../core/sqlite/database-header.ts";
import { isBusy } from "../capture/sqlite-errors.ts";
import { locksOn, processName } from "../file/file-locks.ts";
import type { Environment } from "../restore/environment.ts";
import { blockedError } from "./follow-errors.ts";
import type { PageChange } from "./page-change.ts";
import { readHeader, scanChecksums } from "./scan-checksums.ts";
import { writeTransaction } from "./transaction.ts";

/** New readers are kept out this long, so that those that are there can come to an end; then they are let in again. */
const pendingMs = 100;
const backoff = { firstMs: 50, maxMs: 1000 };
/** After this much waiting, and then after twice as much each time, a log line says so. */
const firstReportMs = 2000;
/** After this much waiting it is an error, and tried again with the pauses of errors. */
const maxWaitMs = 60_000;
/** Times in a row that the file is taken out of WAL mode before whoever puts it there counts as in the way. */
const maxModeChanges = 3;

/** By which a file is recognized as the one that was left. */
export interface OutputIdentity {
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
}

export function isSameOutput(a: OutputIdentity, b: OutputIdentity): boolean {
  return a.inode === b.inode && a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs;
}

/** The change counter after a change of ours on ours, as SQLite counts: it comes back only after 2^32 changes. */
export function nextChangeCounter(old: number): number {
  return (old + 1) >>> 0;
}

/** A change counter for a file that others have written: no page cache has it, and no note of another state, but by chance. */
export function newChangeCounter(random: Random, old: number): number {
  for (;;) {
    const counter = viewOf(random.bytes(4)).getUint32(0);
    if (counter !== old && counter !== 0) return counter;
  }
}

export class OutputFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: OpenFile;
  readonly #database: DatabaseSync;
  readonly #environment: Environment;

  private constructor(
    path: string,
    file: OpenFile,
    database: DatabaseSync,
    environment: Environment,
  ) {
    this.#path = path;
    this.#file = file;
    this.#database = database;
    this.#environment = environment;
  }

  /** Opens a file that exists. Nothing is read yet. */
  static async open(path: string, environment: Environment): Promise<OutputFile> {
    const file = await environment.fileSystem.open(path, "update");
    try {
      const database = new DatabaseSync(path, { timeout: pendingMs });
      return new OutputFile(path, file, database, environment);
    } catch (error) {
      await file.close();
      throw toOutputError(error, path);
    }
  }

  /**
   * Nobody else reads or writes until the lock is disposed. Taking it has SQLite undo what a dead process left in a journal,
   * and takes the file out of WAL mode if somebody put it there. Waits for readers, up to a minute: then throws `follow/blocked`.
   * Throws `sqlite/invalid` if it is no database any more.
   */
  async lock({ signal }: Waiting): Promise<Disposable> {
    const { clock, random, logger } = this.#environment;
    const startedMs = clock.monotonicMs();
    let reportMs = firstReportMs;
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      try {
        if (await this.#lockNow()) return { [Symbol.dispose]: () => this.#release() };
      } catch (error) {
        this.#release();
        if (!isBusy(error)) throw toOutputError(error, this.#path);
      }
      const waitedMs = Math.round(clock.monotonicMs() - startedMs);
      if (waitedMs >= maxWaitMs) {
        throw blockedError(this.#path, { waitedMs, holders: await holdersOf(this.#path) });
      }
      if (waitedMs >= reportMs) {
        logger.log("warn", "follow.waiting", {
          path: this.#path,
          waited_ms: waitedMs,
          reason: "another program has a transaction open on the database",
          held_by: (await holdersOf(this.#path)).join(", ") || undefined,
        });
        reportMs = 2 * waitedMs;
      }
      await clock.sleep(backoffMs(attempt, backoff, random), { signal });
    }
  }

  /** Nobody writes until it is disposed; readers go on. Throws `sqlite/invalid` if it is no database any more. */
  share(): Disposable {
    try {
      // A transaction takes its lock with its first read.
      this.#database.exec("BEGIN; PRAGMA schema_version");
    } catch (error) {
      this.#release();
      throw toOutputError(error, this.#path);
    }
    return { [Symbol.dispose]: () => this.#release() };
  }

  /** The header of page 1 as it stands in the file. Throws `sqlite/invalid`. */
  header(): Promise<DatabaseHeader> {
    return readHeader(this.#file);
  }

  async identity(): Promise<OutputIdentity> {
    const { inode, sizeBytes, mtimeNs } = await this.#file.status();
    return { inode, sizeBytes, mtimeNs };
  }

  /** The checksums of all pages as they stand in the file, page 1 with `patched` put back. Nobody writes meanwhile. */
  scan(codec: Codec, patched: Uint8Array | undefined): Promise<PageChecksums> {
    return scanChecksums(this.#file, codec, patched);
  }

  /** Writes a change in one transaction, under the lock. If it throws, release the lock: SQLite undoes it when it is next taken. */
  async write(change: PageChange, changeCounter: number): Promise<void> {
    const { fileSystem, random } = this.#environment;
    const { pageSize } = await this.header();
    const { sizeBytes } = await this.#file.status();
    const target = {
      fileSystem,
      random,
      path: this.#path,
      file: this.#file,
      pageSize,
      commit: Math.floor(sizeBytes / pageSize),
    };
    try {
      await writeTransaction(target, change, changeCounter);
    } catch (error) {
      throw toOutputError(error, this.#path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
    await this.#file.close();
  }

  /** False if somebody puts the file into WAL mode again and again. */
  async #lockNow(): Promise<boolean> {
    for (let changes = 0; changes < maxModeChanges; changes++) {
      this.#database.exec("BEGIN EXCLUSIVE");
      if (!isWalMode(await this.header())) return true;
      // In WAL mode that lock keeps no reader out.
      this.#release();
      this.#database.exec("PRAGMA journal_mode = DELETE");
    }
    return false;
  }

  #release(): void {
    if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec("ROLLBACK");
  }
}

/** The other processes that have a lock on the database, as far as the system tells. */
async function holdersOf(path: string): Promise<readonly string[]> {
  const others = [...((await locksOn(path))?.users ?? [])].filter((pid) => pid !== process.pid);
  return Promise.all(others.map(async (pid) => `${await processName(pid)} (process ${pid})`));
}

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
const unreadableCodes: ReadonlySet<number> = new Set([11, 26]);

/** What the platform or SQLite throws, as an error of ours; ours as they are. */
function toOutputError(error: unknown, path: string): unknown {
  if (error instanceof HeadwaterError || !(error instanceof Error)) return error;
  const code = "errcode" in error ? Number(error.errcode) & 0xff : undefined;
  if (code !== undefined && unreadableCodes.has(code)) {
    return new HeadwaterError(
      "sqlite/invalid",
      `${path} is no database any more: ${error.message}.`,
      {
        data: { path },
        cause: error,
      },
    );
  }
  return new HeadwaterError(
    "restore/output",
    `${path} cannot be written: ${messageOf(error)}. It is as it was. Check space and permissions, also those of ` +
      `${dirname(path)}.`,
    { data: { path }, cause: error },
  );
}
