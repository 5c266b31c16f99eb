// The file operations that staging and the file store stand on, as an interface: tests put one in front that
// fails, fills up or kills the process at its n-th call. Live databases are never touched through it
// (closing a descriptor on one would drop SQLite's locks; see node/capture).

export interface FileStatus {
  readonly kind: "file" | "directory" | "other";
  readonly sizeBytes: number;
  /** Whole milliseconds, rounded down. */
  readonly mtimeMs: number;
  /** The same time as exactly as the file system keeps it. */
  readonly mtimeNs: bigint;
  readonly inode: bigint;
  readonly device: bigint;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** An open file. Whoever opens it closes it. */
export interface OpenFile extends AsyncDisposable {
  /** Reads into `into` from `position`; returns the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes` at `position`. The bytes must not change until it resolves. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Resolves when data and metadata are on stable storage. */
  sync(): Promise<void>;
  status(): Promise<FileStatus>;
  /** Fractions of a millisecond are kept as far as the file system can. Rounded down, the time comes back exactly. */
  setTimes(mtimeMs: number): Promise<void>;
  /** Mode and, when we may, owner. */
  setOwnership(ownership: FileOwnership): Promise<void>;
  close(): Promise<void>;
}

export interface FileOwnership {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** `read`: must exist. `create`: truncates or makes. `create-new`: fails if it exists. `update`: read and write, must exist. */
export type OpenMode = "read" | "create" | "create-new" | "update";

/**
 * Absence is `undefined` (or `false`), every other failure throws the platform's error with its `code`. New files
 * are readable by their owner alone (0600, directories 0700) until an ownership is set.
 */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  status(path: string): Promise<FileStatus | undefined>;
  /** Names in a directory in code-unit order, or `undefined` if there is no such directory. */
  list(path: string): Promise<readonly string[] | undefined>;
  /** Replaces `to` if it exists. */
  rename(from: string, to: string): Promise<void>;
  /** Makes `to` a second name of `from`; `false` if `to` exists. */
  link(from: string, to: string): Promise<boolean>;
  /** `false` if there was nothing to remove. */
  unlink(path: string): Promise<boolean>;
  /** Makes the directory and its parents. */
  makeDirectory(path: string): Promise<void>;
  /** Makes entries of the directory (creations, renames, removals) durable. */
  syncDirectory(path: string): Promise<void>;
  setDirectoryOwnership(path: string, ownership: FileOwnership): Promise<void>;
}
