// A VFS for wa-sqlite with JSPI: as `sqlite-wasm-vfs.ts`, but a page that is missing is waited for, and its thread goes on.
// Every callback's arguments are addresses and halves of 64 bits. https://www.sqlite.org/c3ref/vfs.html
import type { Waiting } from "../base/async.ts";
import { OpenFiles, maxPathBytes, sectorSizeBytes } from "./open-files.ts";
import type { OpenPageReader } from "./page-reader.ts";
import { Postponed } from "./postponed.ts";
import { lockLevels, openFlags, resultCodes } from "./sqlite-codes.ts";
import type { OpenRequest, SqliteWasmVfsOptions } from "./sqlite-wasm-vfs.ts";
import { type Pointer, type WaSqliteModule, withText } from "./wa-sqlite-module.ts";

export interface WaSqliteVfsOptions extends Pick<SqliteWasmVfsOptions, "name" | "open"> {
  /** What ends the waiting of the statement that runs. */
  readonly waiting: () => Waiting;
}

/** The methods that may wait. */
const waitingMethods: ReadonlySet<string> = new Set(["xOpen", "xRead"]);

const twoTo32 = 2 ** 32;

/** How often a page that was waited for may have left a small cache before SQLite could read it. */
const maxWaits = 8;

export class WaSqliteVfs {
  readonly name: string;
  readonly mxPathname = maxPathBytes;
  readonly #module: WaSqliteModule;
  readonly #options: WaSqliteVfsOptions;
  readonly #files = new OpenFiles(() => this.#interruptCode);

  /** Registers itself for good. It serves the connections that name it. */
  constructor(module: WaSqliteModule, options: WaSqliteVfsOptions) {
    this.name = options.name;
    this.#module = module;
    this.#options = options;
    const code = module.vfs_register(this, false);
    if (code !== resultCodes.ok) throw new Error(`a VFS cannot be registered: ${code}`);
  }

  /** The readers of the files that are open. */
  readers(): Iterable<OpenPageReader> {
    return this.#files.readers();
  }

  /** What made the newest call fail: SQLite itself knows only result codes. Asking takes it away. */
  takeError(): unknown {
    return this.#files.takeError();
  }

  hasAsyncMethod(method: string): boolean {
    return waitingMethods.has(method);
  }

  async xOpen(
    _vfs: Pointer,
    path: Pointer,
    file: Pointer,
    flags: number,
    outFlags: Pointer,
  ): Promise<number> {
    if ((flags & openFlags.mainDatabase) === 0) return resultCodes.cannotOpen;
    const request = this.#requestOf(path);
    return this.#waitingFor(resultCodes.cannotOpen, () => {
      this.#files.add(file, this.#options.open(request));
      if (outFlags !== 0) this.#poke(outFlags, openFlags.mainDatabase | openFlags.readOnly);
      return resultCodes.ok;
    });
  }

  async xRead(
    file: Pointer,
    into: Pointer,
    length: number,
    low: number,
    high: number,
  ): Promise<number> {
    const offset = high * twoTo32 + (low >>> 0);
    const code = resultCodes.ioErrorRead;
    return this.#waitingFor(code, () =>
      this.#files.use(file, code, (reader) => {
        // Each time anew: while a page was waited for the memory may have grown.
        const bytes = this.#module.HEAPU8.subarray(into, into + length);
        return reader.read(offset, bytes) ? resultCodes.ok : resultCodes.ioErrorShortRead;
      }),
    );
  }

  xClose(file: Pointer): number {
    this.#files.remove(file);
    return resultCodes.ok;
  }

  xFileSize(file: Pointer, out: Pointer): number {
    return this.#files.with(file, resultCodes.ioErrorSize, (reader) => {
      const sizeBytes = reader.sizeBytes();
      this.#poke(out, sizeBytes);
      this.#poke(out + 4, Math.floor(sizeBytes / twoTo32));
      return resultCodes.ok;
    });
  }

  xLock(file: Pointer, level: number): number {
    return this.#files.with(file, resultCodes.ioErrorLock, (reader) => {
      if (level > lockLevels.shared) return resultCodes.readOnly;
      if (level === lockLevels.shared) reader.pin();
      return resultCodes.ok;
    });
  }

  xUnlock(file: Pointer, level: number): number {
    return this.#files.with(file, resultCodes.ioErrorUnlock, (reader) => {
      if (level === lockLevels.none) reader.unpin();
      return resultCodes.ok;
    });
  }

  xCheckReservedLock(_file: Pointer, out: Pointer): number {
    this.#poke(out, 0);
    return resultCodes.ok;
  }

  xAccess(_vfs: Pointer, _path: Pointer, _flags: number, out: Pointer): number {
    this.#poke(out, 0);
    return resultCodes.ok;
  }

  xFullPathname(_vfs: Pointer, path: Pointer, capacity: number, out: Pointer): number {
    const heap = this.#module.HEAPU8;
    const end = heap.indexOf(0, path) + 1;
    if (end - path > capacity) return resultCodes.cannotOpen;
    heap.copyWithin(out, path, end);
    return resultCodes.ok;
  }

  xWrite(): number {
    return resultCodes.readOnly;
  }

  xTruncate(): number {
    return resultCodes.readOnly;
  }

  xDelete(): number {
    return resultCodes.readOnly;
  }

  xSync(): number {
    return resultCodes.ok;
  }

  xFileControl(): number {
    return resultCodes.notFound;
  }

  xSectorSize(): number {
    return sectorSizeBytes;
  }

  xDeviceCharacteristics(): number {
    return 0;
  }

  /** Does work that may find that something has to be waited for first. Never rejects: that would not get through SQLite. */
  async #waitingFor(code: number, work: () => number): Promise<number> {
    try {
      for (let waits = 0; ; waits++) {
        try {
          return work();
        } catch (error) {
          if (!(error instanceof Postponed) || waits === maxWaits) throw error;
          await error.work(this.#options.waiting());
        }
      }
    } catch (error) {
      return this.#files.fail(error, code);
    }
  }

  /** The wish to stop is no failure, and leaves a transaction as it is. */
  get #interruptCode(): number | undefined {
    return this.#options.waiting().signal?.aborted === true ? resultCodes.interrupt : undefined;
  }

  #requestOf(path: Pointer): OpenRequest {
    const parameter = (key: string): string | undefined => {
      const found = withText(this.#module, key, (name) =>
        this.#module._sqlite3_uri_parameter(path, name),
      );
      return found === 0 ? undefined : this.#module.UTF8ToString(found);
    };
    const name = this.#module.UTF8ToString(path);
    return { name, at: parameter("at"), txid: parameter("txid") };
  }

  /** The low 32 bits of a number. */
  #poke(address: Pointer, value: number): void {
    this.#module.HEAP32[address >>> 2] = value;
  }
}
