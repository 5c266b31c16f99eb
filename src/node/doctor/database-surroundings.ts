// What a database stands on: the directory beside it, the free space, the file system.
import { access, constants, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { platformCode } from "../../core/base/errors.ts";
import { formatBytes } from "../base/quantities.ts";
import { userText } from "./database-context.ts";
import type { DatabaseContext } from "./database-context.ts";
import { mountOf } from "../file/file-systems.ts";
import type { Check } from "./report.ts";

/** Below it a disk is full for every practical purpose. */
const minFreeBytes = 16 * 1024 * 1024;

/** Can the state directory be made, or be written to? */
export async function checkStateDirectory({ stateDirectory }: DatabaseContext): Promise<Check> {
  const name = "state-directory";
  const place = await nearestDirectory(stateDirectory);
  try {
    await access(place, constants.W_OK | constants.X_OK);
  } catch (error) {
    return {
      name,
      result: "problem",
      found: `${userText()} cannot write to ${place} (${platformCode(error) ?? "refused"})`,
      change: "Give the user of Headwater write permission there, or another place with state-dir.",
    };
  }
  const found = place === stateDirectory ? "can be written to" : "can be made";
  return { name, result: "ok", found: `${stateDirectory} ${found}` };
}

/** Is there room for a full image, and for what piles up while the store is away? */
export async function checkDiskSpace(context: DatabaseContext): Promise<Check> {
  const { path, stateDirectory, maxWalSizeBytes, maxStagingBytes } = context;
  const databaseBytes = (await stat(path).catch(() => undefined))?.size ?? 0;
  const frees = await Promise.all(
    [dirname(path), stateDirectory].map(async (one) => freeBytesAt(await nearestDirectory(one))),
  );
  const freeBytes = Math.min(...frees);
  return judgeDiskSpace({ freeBytes, databaseBytes, maxWalSizeBytes, maxStagingBytes });
}

export interface DiskSpace {
  readonly freeBytes: number;
  readonly databaseBytes: number;
  readonly maxWalSizeBytes: number;
  readonly maxStagingBytes: number;
}

/** The thresholds are in docs/doctor.md. */
export function judgeDiskSpace(space: DiskSpace): Check {
  const { freeBytes, databaseBytes, maxWalSizeBytes, maxStagingBytes } = space;
  const name = "disk-space";
  const values = { ...space };
  const found = `${formatBytes(freeBytes)} free; the database has ${formatBytes(databaseBytes)}`;
  if (freeBytes < Math.max(minFreeBytes, databaseBytes / 10)) {
    const change = "Free space now: the application and Headwater are about to stop writing.";
    return { name, result: "problem", found, change, values };
  }
  if (freeBytes < databaseBytes + Math.min(maxWalSizeBytes, databaseBytes)) {
    const change =
      "Free space, or put the state directory on another disk with state-dir: a full image of the database and a WAL of " +
      "its size should fit.";
    return { name, result: "warning", found, change, values };
  }
  if (freeBytes < maxStagingBytes) {
    const change =
      `Nothing, or a smaller max-staging: if the store is away for long, up to ${formatBytes(maxStagingBytes)} are staged before ` +
      "they are merged.";
    return { name, result: "note", found, change, values };
  }
  return { name, result: "ok", found, values };
}

async function freeBytesAt(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** The directory itself, or the nearest one above it that exists. */
async function nearestDirectory(path: string): Promise<string> {
  for (let place = path; ; place = dirname(place)) {
    const status = await stat(place).catch(() => undefined);
    if (status !== undefined || place === dirname(place)) return place;
  }
}

const networkKinds =
  /^(?:nfs|cifs|smb|9p|afs|ceph|lustre|glusterfs|gpfs|beegfs|vboxsf|prl_fs|drvfs|virtiofs|fuse)/u;

/** Do SQLite's locks and its shared memory work there, and does it last? */
export async function checkFileSystem({ path }: DatabaseContext): Promise<Check> {
  const kind = (await mountOf(path))?.kind;
  return judgeFileSystem(kind);
}

/** `kind` as in /proc/mounts. */
export function judgeFileSystem(kind: string | undefined): Check {
  const name = "file-system";
  if (kind === undefined) {
    const change = "Make sure that it is a local disk.";
    return { name, result: "note", found: "its kind cannot be seen on this system", change };
  }
  const values = { kind };
  if (networkKinds.test(kind)) {
    return {
      name,
      result: "warning",
      found: `${kind}, where locks and shared memory cannot be relied on`,
      change:
        "Move the database to a local disk: SQLite in WAL mode does not work over a network or between a virtual machine " +
        "and its host, and can be damaged there.",
      values,
    };
  }
  if (kind === "overlay") {
    return {
      name,
      result: "warning",
      found: "overlay, the inside of a container",
      change: "Put the database on a volume: here it goes away with the container.",
      values,
    };
  }
  if (kind === "tmpfs" || kind === "ramfs") {
    const change = "Nothing if the database may go away at a restart; otherwise move it to a disk.";
    return { name, result: "note", found: `${kind}, which is memory`, change, values };
  }
  return { name, result: "ok", found: kind, values };
}
