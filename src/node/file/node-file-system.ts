// The real file system behind the `FileSystem` interface. Never use it on a live database: closing a descriptor
// on one drops SQLite's locks (docs/capture.md).
import { constants, fchmodSync, fchownSync, fstatSync, futimesSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import * as fs from "node:fs/promises";
import { platformCode } from "../../core/base/errors.ts";
import type {
  FileOwnership,
  FileStatus,
  FileSystem,
  OpenFile,
  OpenMode,
} from "../../core/base/file-system.ts";

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC } = constants;

const openFlags: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  create: O_RDWR | O_CREAT | O_TRUNC,
  "create-new": O_RDWR | O_CREAT | O_EXCL,
  update: O_RDWR,
};

/** The machine's file system. */
export const nodeFileSystem: FileSystem = {
  open: async (path, mode) => toOpenFile(await fs.open(path, openFlags[mode], 0o600)),
  status: async (path) => {
    const stats = await unlessCode(["ENOENT", "ENOTDIR"], fs.stat(path, { bigint: true }));
    return stats === undefined ? undefined : toStatus(stats);
  },
  list: async (path) => {
    const names = await unlessCode(["ENOENT"], fs.readdir(path));
    return names?.sort(byCodeUnits);
  },
  rename: fs.rename,
  link: async (from, to) =>
    (await unlessCode(
      ["EEXIST"],
      fs.link(from, to).then(() => true),
    )) ?? false,
  unlink: async (path) =>
    (await unlessCode(
      ["ENOENT"],
      fs.unlink(path).then(() => true),
    )) ?? false,
  makeDirectory: async (path) => {
    await fs.mkdir(path, { recursive: true, mode: 0o700 });
  },
  syncDirectory: async (path) => {
    // Windows cannot open a directory, and does not need it: NTFS journals its entries.
    if (process.platform === "win32") return;
    const directory = await fs.open(path, O_RDONLY);
    try {
      // Some network file systems know no such thing: they keep entries as safe as they can without being asked.
      await unlessCode(["EINVAL", "ENOTSUP", "EOPNOTSUPP"], directory.sync());
    } finally {
      await directory.close();
    }
  },
  setDirectoryOwnership: async (path, ownership) => {
    await applyOwnership(ownership, {
      chown: (uid, gid) => fs.chown(path, uid, gid),
      chmod: (mode) => fs.chmod(path, mode),
    });
  },
};

function toOpenFile(handle: fs.FileHandle): OpenFile {
  const close = (): Promise<void> => handle.close();
  return {
    read: (into, position) => readFully(handle, into, position),
    write: (bytes, position) => writeFully(handle, bytes, position),
    truncate: (sizeBytes) => handle.truncate(sizeBytes),
    sync: () => handle.sync(),
    // What says and changes nothing but the inode of an open file takes microseconds; a turn of the thread pool takes a
    // hundred times as long, and a commit on its way to a replica would wait for a dozen of them.
    status: async () => toStatus(fstatSync(handle.fd, { bigint: true })),
    setTimes: async (mtimeMs) => {
      // Times travel as seconds in a double, which cannot hold most milliseconds: half a millisecond more (unless a
      // fraction was given) makes rounding down exact.
      const exactMs = Number.isInteger(mtimeMs) ? mtimeMs + 0.5 : mtimeMs;
      futimesSync(handle.fd, exactMs / 1000, exactMs / 1000);
    },
    setOwnership: (ownership) =>
      applyOwnership(ownership, {
        chown: async (uid, gid) => fchownSync(handle.fd, uid, gid),
        chmod: async (mode) => fchmodSync(handle.fd, mode),
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readFully(
  handle: fs.FileHandle,
  into: Uint8Array,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function writeFully(
  handle: fs.FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Owner first: widening the mode first would show the file to the wrong group for a moment. */
async function applyOwnership(
  { mode, uid, gid }: FileOwnership,
  target: {
    readonly chown: (uid: number, gid: number) => Promise<void>;
    readonly chmod: (mode: number) => Promise<void>;
  },
): Promise<void> {
  // Only root may give files away; everyone else keeps them.
  await unlessCode(["EPERM"], target.chown(uid, gid));
  await target.chmod(mode & 0o7777);
}

function toStatus(stats: BigIntStats): FileStatus {
  return {
    kind: stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other",
    sizeBytes: Number(stats.size),
    mtimeMs: Number(stats.mtimeNs / 1_000_000n),
    mtimeNs: stats.mtimeNs,
    inode: stats.ino,
    device: stats.dev,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}

/** `undefined` when `work` fails with one of the codes. */
async function unlessCode<T>(codes: readonly string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codes.includes(platformCode(error) ?? "")) return undefined;
    throw error;
  }
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
