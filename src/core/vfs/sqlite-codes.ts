// Result codes and flags of SQLite's C interface, and how we use it. The objects of its packages have the codes, too, and to
// find one there takes as long as a step of SQLite.
// https://www.sqlite.org/rescode.html and https://www.sqlite.org/c3ref/c_open_autoproxy.html

export const resultCodes = {
  ok: 0,
  readOnly: 8,
  interrupt: 9,
  ioError: 10,
  corrupt: 11,
  notFound: 12,
  cannotOpen: 14,
  notDatabase: 26,
  row: 100,
  done: 101,
  ioErrorRead: 266,
  ioErrorShortRead: 522,
  ioErrorSize: 1802,
  ioErrorUnlock: 2058,
  ioErrorLock: 3850,
} as const;

export const openFlags = {
  readOnly: 0x1,
  readWrite: 0x2,
  uri: 0x40,
  mainDatabase: 0x100,
} as const;

export const lockLevels = { none: 0, shared: 1 } as const;

/** Steps of SQLite's virtual machine between two questions whether to go on: some hundred microseconds. */
export const stepsBetweenChecks = 10_000;

/** Of WebAssembly with 32 bits. */
export const pointerSizeBytes = 4;

/** Of a value. */
export const valueTypes = { integer: 1, float: 2, text: 3, blob: 4 } as const;
