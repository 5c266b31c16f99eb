// The three files of an attached database, read with plain preads: the database, its WAL and its wal-index.
import { closeSync, fdatasync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { promisify } from "node:util";
import { assert } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import {
  decodeWalIndex,
  walIndexHeaderSizeBytes,
  walIndexPgnoRun,
  type WalIndex,
} from "../../core/sqlite/wal-index.ts";
import { inodeKey, type Descriptors } from "./descriptors.ts";
import type { FileIdentity } from "./capture-types.ts";
import { toFileFacts, type FileFacts } from "./rest.ts";

/** Torn reads of the wal-index come in bursts while a writer publishes; one retry is normally enough. */
const indexReadAttempts = 200;
const syncDescriptor = promisify(fdatasync);

/** Reads until `into` is full or the file ends; returns the bytes read. */
export function readFully(descriptor: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const count = readSync(descriptor, into, done, into.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** The files of one attachment. */
export class DatabaseFiles {
  readonly #descriptors: Descriptors;
  readonly #givenPath: string;
  readonly #shm: number;
  readonly #wal: number;
  readonly #inodeByPath: ReadonlyMap<string, string>;
  #isClosed = false;
  readonly #indexBytes = new Uint8Array(walIndexHeaderSizeBytes);

  /** The real path: the WAL, the wal-index and our state lie beside it. */
  readonly path: string;
  readonly pageSize: number;

  /** Opens -wal and -shm. SQLite must have read the database through the wal-index already. */
  constructor(
    descriptors: Descriptors,
    paths: { readonly given: string; readonly real: string },
    pageSize: number,
  ) {
    this.#descriptors = descriptors;
    this.#givenPath = paths.given;
    this.path = paths.real;
    this.pageSize = pageSize;
    this.#shm = descriptors.openShm(`${paths.real}-shm`);
    this.#wal = openSync(`${paths.real}-wal`, "r");
    this.#inodeByPath = new Map([
      [`${paths.real}-wal`, inodeKey(fstatSync(this.#wal, { bigint: true }))],
      [`${paths.real}-shm`, inodeKey(fstatSync(this.#shm, { bigint: true }))],
    ]);
  }

  /** What is committed now; `undefined` while a writer or a recovery is at it. */
  readIndex(): WalIndex | undefined {
    this.#assertOpen();
    for (let attempt = 0; attempt < indexReadAttempts; attempt++) {
      readFully(this.#shm, this.#indexBytes, 0);
      const index = decodeWalIndex(this.#indexBytes);
      if (index !== undefined) return index;
    }
    return undefined;
  }

  /**
   * Page numbers of the frames `first..last` of the current generation, from the wal-index. Only committed frames
   * that cannot be reset may be asked for.
   */
  readFramePgnos(first: number, last: number): Uint32Array {
    const pgnos = new Uint32Array(Math.max(0, last - first + 1));
    for (let frame = first; frame <= last;) {
      const run = walIndexPgnoRun(frame);
      const count = Math.min(run.count, last - frame + 1);
      const at = frame - first;
      const into = new Uint8Array(pgnos.buffer, at * 4, count * 4);
      if (readFully(this.#shm, into, run.offset) < into.length) {
        throw new HeadwaterError(
          "capture/gap",
          `The wal-index of ${this.path} ends before frame ${frame + count - 1}. Capture compares the whole database next.`,
        );
      }
      frame += count;
    }
    return pgnos;
  }

  /** Reads from the WAL; returns the bytes read. */
  readWal(into: Uint8Array, position: number): number {
    this.#assertOpen();
    return readFully(this.#wal, into, position);
  }

  /** Reads whole pages from the database file; what lies beyond its end reads as zeros, as for SQLite. */
  readDatabasePages(firstPgno: number, into: Uint8Array): void {
    this.#assertOpen();
    const count = readFully(this.#descriptors.database, into, (firstPgno - 1) * this.pageSize);
    into.fill(0, count);
  }

  get walSizeBytes(): number {
    return fstatSync(this.#wal).size;
  }

  get databaseSizeBytes(): number {
    return fstatSync(this.#descriptors.database).size;
  }

  get databaseFacts(): FileFacts {
    return toFileFacts(fstatSync(this.#descriptors.database, { bigint: true }));
  }

  /** Makes the WAL and the database file durable, off the event loop. */
  async sync(): Promise<void> {
    await syncDescriptor(this.#wal);
    await syncDescriptor(this.#descriptors.database);
  }

  /** Compares the path with what is open. Looks only; opening and closing would drop SQLite's locks. */
  identity(): Exclude<FileIdentity, "truncated"> {
    const status = statSync(this.#givenPath, { bigint: true, throwIfNoEntry: false });
    if (status === undefined) return "missing";
    if (inodeKey(status) !== this.#descriptors.key) return "replaced";
    for (const [path, inode] of this.#inodeByPath) {
      const beside = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (beside === undefined || inodeKey(beside) !== inode) return "replaced";
    }
    return "same";
  }

  /** Closes the descriptors. Every connection of this attachment must be closed before. */
  close(): void {
    this.#assertOpen();
    this.#isClosed = true;
    closeSync(this.#wal);
    this.#descriptors.release();
  }

  /** The numbers of closed descriptors are given to other files: reading on would return their bytes. */
  #assertOpen(): void {
    assert(!this.#isClosed, "the files of a closed capture are used");
  }
}
