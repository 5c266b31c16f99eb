// A VFS for `@sqlite.org/sqlite-wasm`: database files are page readers, nothing can be written, and there is nothing else.
// Temporary files never come here, because this SQLite keeps them in memory (SQLITE_TEMP_STORE=2).
// https://www.sqlite.org/c3ref/vfs.html and https://www.sqlite.org/c3ref/io_methods.html
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { OpenFiles, maxPathBytes, sectorSizeBytes } from "./open-files.ts";
import type { OpenPageReader } from "./page-reader.ts";

/** What a name asks for: `file:app?at=5 minutes ago`. */
export interface OpenRequest {
  /** Without parameters. */
  readonly name: string;
  /** A moment in words. */
  readonly at: string | undefined;
  /** 16 hexadecimal digits. */
  readonly txid: string | undefined;
}

export interface SqliteWasmVfsOptions {
  /** What connections name it by. */
  readonly name: string;
  /** The reader of a file, when SQLite opens it. Throws if there is no such file. */
  readonly open: (request: OpenRequest) => OpenPageReader;
  /** Whether what a reader threw is no failure but the wish to stop, which leaves a transaction as it is. */
  readonly isInterrupt?: (error: unknown) => boolean;
}

/** An installed VFS. Disposing it takes it away again, once its last connection is closed. */
export interface SqliteWasmVfs extends Disposable {
  /** The readers of the files that are open. */
  readers(): Iterable<OpenPageReader>;
  /** What made the newest call fail: SQLite itself knows only result codes. Asking takes it away. */
  takeError(): unknown;
}

/** Of our `sqlite3_file`: the pointer to its methods, and room to spare. */
const fileSizeBytes = 8;

/** Registers the VFS with a SQLite. It serves the connections that name it. */
export function installSqliteWasmVfs(
  sqlite3: Sqlite3Static,
  { name, open, isInterrupt = () => false }: SqliteWasmVfsOptions,
): SqliteWasmVfs {
  const { capi, vfs } = sqlite3;
  const files = new OpenFiles((error) => (isInterrupt(error) ? capi.SQLITE_INTERRUPT : undefined));
  const io = new capi.sqlite3_io_methods();
  // The declaration leaves out the `$` that every member of a struct has.
  Reflect.set(io, "$iVersion", 1);
  const own = new capi.sqlite3_vfs();
  own.$iVersion = 2;
  own.$szOsFile = fileSizeBytes;
  own.$mxPathname = maxPathBytes;
  // Clock, randomness and sleep are those of the default VFS.
  const base = new capi.sqlite3_vfs(capi.sqlite3_vfs_find(null));
  for (const method of inheritedMethods) Reflect.set(own, method, Reflect.get(base, method));
  base.dispose();
  vfs.installVfs({
    io: { struct: io, methods: ioMethods(sqlite3, files) },
    vfs: { struct: own, name, methods: vfsMethods(sqlite3, files, { io, open }) },
  });
  return {
    readers: () => files.readers(),
    takeError: () => files.takeError(),
    [Symbol.dispose]: () => {
      capi.sqlite3_vfs_unregister(own.pointer);
      own.dispose();
      io.dispose();
    },
  };
}

const inheritedMethods = [
  "$xRandomness",
  "$xSleep",
  "$xCurrentTime",
  "$xCurrentTimeInt64",
] as const;

type Capi = Sqlite3Static["capi"];
type Installed = Parameters<Sqlite3Static["vfs"]["installVfs"]>[0];
type IoMethods = NonNullable<Installed["io"]>["methods"];
type VfsMethods = NonNullable<Installed["vfs"]>["methods"];
type ResultCode = ReturnType<Capi["sqlite3_close_v2"]>;

function ioMethods({ capi, wasm }: Sqlite3Static, files: OpenFiles): IoMethods {
  // Several of these run for each transaction, and to find one of the many members of `capi` takes its time.
  const { SQLITE_IOERR_READ, SQLITE_IOERR_FSTAT, SQLITE_IOERR_LOCK, SQLITE_IOERR_UNLOCK } = capi;
  const { SQLITE_IOERR_SHORT_READ, SQLITE_LOCK_SHARED, SQLITE_LOCK_NONE } = capi;
  const refuse = (): ResultCode => toResultCode(capi.SQLITE_READONLY);
  const within = (...args: Parameters<OpenFiles["with"]>): ResultCode =>
    toResultCode(files.with(...args));
  return {
    xClose: (file) => {
      files.remove(file);
      return toResultCode(capi.SQLITE_OK);
    },
    xRead: (file, buffer, length, offset) =>
      within(file, SQLITE_IOERR_READ, (reader) => {
        const into = wasm.heap8u().subarray(buffer, buffer + length);
        return reader.read(toNumber(offset), into) ? undefined : SQLITE_IOERR_SHORT_READ;
      }),
    xWrite: refuse,
    xTruncate: refuse,
    xSync: () => toResultCode(capi.SQLITE_OK),
    xFileSize: (file, out) =>
      within(file, SQLITE_IOERR_FSTAT, (reader) => {
        wasm.poke64(out, BigInt(reader.sizeBytes()));
        return undefined;
      }),
    xLock: (file, level) =>
      within(file, SQLITE_IOERR_LOCK, (reader) => {
        if (level > SQLITE_LOCK_SHARED) return capi.SQLITE_READONLY;
        if (level === SQLITE_LOCK_SHARED) reader.pin();
        return undefined;
      }),
    xUnlock: (file, level) =>
      within(file, SQLITE_IOERR_UNLOCK, (reader) => {
        if (level === SQLITE_LOCK_NONE) reader.unpin();
        return undefined;
      }),
    xCheckReservedLock: (_file, out) => {
      wasm.poke32(out, 0);
      return toResultCode(capi.SQLITE_OK);
    },
    xFileControl: () => toResultCode(capi.SQLITE_NOTFOUND),
    xSectorSize: () => toResultCode(sectorSizeBytes),
    xDeviceCharacteristics: () => toResultCode(0),
  };
}

function vfsMethods(
  { capi, wasm }: Sqlite3Static,
  files: OpenFiles,
  { io, open }: Pick<SqliteWasmVfsOptions, "open"> & { readonly io: { readonly pointer: number } },
): VfsMethods {
  return {
    xOpen: (_vfs, path, file, flags, outFlags) => {
      const code = files.guard(capi.SQLITE_CANTOPEN, () => {
        if ((flags & capi.SQLITE_OPEN_MAIN_DB) === 0) return capi.SQLITE_CANTOPEN;
        const parameter = (key: string): string | undefined =>
          capi.sqlite3_uri_parameter(path, key) ?? undefined;
        const name = wasm.cstrToJs(path) ?? "";
        files.add(file, open({ name, at: parameter("at"), txid: parameter("txid") }));
        const struct = new capi.sqlite3_file(file);
        struct.$pMethods = io.pointer;
        struct.dispose();
        if (outFlags !== 0) {
          wasm.poke32(outFlags, capi.SQLITE_OPEN_MAIN_DB | capi.SQLITE_OPEN_READONLY);
        }
        return undefined;
      });
      return toResultCode(code);
    },
    xDelete: () => toResultCode(capi.SQLITE_READONLY),
    xAccess: (_vfs, _path, _flags, out) => {
      wasm.poke32(out, 0);
      return toResultCode(capi.SQLITE_OK);
    },
    xFullPathname: (_vfs, path, capacity, out) => {
      const isCopied = wasm.cstrncpy(out, path, capacity) < capacity;
      return toResultCode(isCopied ? capi.SQLITE_OK : capi.SQLITE_CANTOPEN);
    },
  };
}

/** 64 bits come as a bigint, whatever the declaration says. */
function toNumber(value: number | bigint): number {
  return Number(value);
}

function toResultCode(code: number): ResultCode {
  // Sizes and flags pass through it too: to C all of them are an int.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return code as ResultCode;
}
