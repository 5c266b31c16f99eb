// What node:sqlite's errors mean for capture.
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";

// Primary result codes (https://www.sqlite.org/rescode.html).
const permission = 3;
const busy = 5;
const locked = 6;
const readonly = 8;
const ioError = 10;
const full = 13;
const cannotOpen = 14;
const protocol = 15;
const notADatabase = 26;

/** SQLite's primary result code, if the error comes from SQLite. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

/** True when a lock of another connection stood in the way. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === busy || code === locked || code === protocol;
}

/** SQLite's error on the database at `path` in our words; anything that is not SQLite's comes back as it is. */
export function toCaptureError(error: unknown, path: string): unknown {
  const details = { cause: error, data: { path } };
  switch (resultCode(error)) {
    case undefined:
      return error;
    case busy:
    case locked:
    case protocol:
      return new HeadwaterError(
        "capture/locked",
        `${path} is locked by another connection. Headwater tries again; an application that keeps it locked ` +
          "(PRAGMA locking_mode=EXCLUSIVE) cannot be replicated.",
        details,
      );
    case notADatabase:
      return new HeadwaterError(
        "capture/not-a-database",
        `${path} is not a SQLite database, or is encrypted (${messageOf(error)}). Check the path.`,
        details,
      );
    case full:
      return new HeadwaterError(
        "engine/disk-full",
        `There is no space left for ${path} and its WAL (${messageOf(error)}). Free space; Headwater goes on by itself.`,
        details,
      );
    case permission:
    case readonly:
    case ioError:
    case cannotOpen:
      return new HeadwaterError(
        "capture/unreadable",
        `SQLite cannot work on ${path} (${messageOf(error)}). The file and its directory must be readable and ` +
          "writable for Headwater, because the WAL lies beside the database; check owner, permissions and free space.",
        details,
      );
    default:
      return new HeadwaterError(
        "capture/unreadable",
        `SQLite cannot read ${path}: ${messageOf(error)}. Run PRAGMA integrity_check on it.`,
        details,
      );
  }
}
