// The database files that a SQLite has open in a VFS of ours, and what went wrong in it: SQLite itself knows only result codes.
import type { OpenPageReader } from "./page-reader.ts";

/** Longest name that SQLite may give us. */
export const maxPathBytes = 1024;

export const sectorSizeBytes = 4096;

export class OpenFiles {
  /** By the address of its `sqlite3_file`. */
  readonly #readerByFile = new Map<number, OpenPageReader>();
  readonly #codeOf: (error: unknown) => number | undefined;
  #failure: unknown;

  /** `codeOf`: the result code of an error, where it is not that of the method that it is thrown in. */
  constructor(codeOf: (error: unknown) => number | undefined) {
    this.#codeOf = codeOf;
  }

  add(file: number, reader: OpenPageReader): void {
    this.#readerByFile.set(file, reader);
  }

  remove(file: number): void {
    this.#readerByFile.delete(file);
  }

  readers(): Iterable<OpenPageReader> {
    return this.#readerByFile.values();
  }

  /** What made the newest call fail. Asking takes it away. */
  takeError(): unknown {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** Keeps an error, which must not pass through SQLite, and returns what SQLite is told of it: its own code or `code`. */
  fail(error: unknown, code: number): number {
    this.#failure = error;
    return this.#codeOf(error) ?? code;
  }

  /** Runs a method; nothing returned is success. */
  guard(code: number, work: () => number | undefined): number {
    try {
      return work() ?? 0;
    } catch (error) {
      return this.fail(error, code);
    }
  }

  /** `guard` for a method of an open file. */
  with(file: number, code: number, work: (reader: OpenPageReader) => number | undefined): number {
    return this.guard(code, () => this.use(file, code, work));
  }

  /** `with`, but what is thrown passes. */
  use(file: number, code: number, work: (reader: OpenPageReader) => number | undefined): number {
    const reader = this.#readerByFile.get(file);
    return reader === undefined ? code : (work(reader) ?? 0);
  }
}
