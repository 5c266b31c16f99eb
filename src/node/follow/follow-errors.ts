// What following makes of errors, and its own.
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { type Txid, formatTxid, nextTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";

/**
 * A file does not continue the database at `txid`, or has pages of another size. One that begins before that TXID cannot say what
 * it continues: it may as well be damaged, which a full image then shows.
 */
export function isAnotherHistory(
  error: unknown,
  files: readonly ReplicaFile[],
  txid: Txid,
): boolean {
  if (hasCode(error, "replica/foreign-file")) {
    return error.data["pageSize"] !== error.data["expectedPageSize"];
  }
  if (!hasCode(error, "replica/proof")) return false;
  if (error.data["fault"] === "link") return true;
  const file = faultyFileOf(error, files);
  return file !== undefined && file.minTxid <= txid;
}

/** The file that an error is about, if it says that the file itself is at fault. */
export function faultyFileOf(
  error: unknown,
  files: readonly ReplicaFile[],
): ReplicaFile | undefined {
  if (!(error instanceof HeadwaterError)) return undefined;
  const isFault =
    error.code.startsWith("ltx/") || hasCode(error, "replica/proof", "replica/foreign-file");
  const key = error.data["key"] ?? error.data["name"];
  return isFault ? files.find((file) => file.key === key) : undefined;
}

/** There is a newer state, and no way to it. */
export function stuckError(txid: Txid, head: Txid, url: string): HeadwaterError {
  return new HeadwaterError(
    "replica/gap",
    `The replica at ${url} goes up to TXID ${formatTxid(head)}, but no sound file leads on from ` +
      `${formatTxid(nextTxid(txid))}. Run headwater verify; following goes on as soon as there is one.`,
    { data: { txid, head } },
  );
}

/** Following would overwrite a primary. */
export function replicatedError(path: string, directory: string): HeadwaterError {
  return new HeadwaterError(
    "follow/replicated",
    `${path} is itself replicated: ${directory} is its replicator's state. Choose another output; if nobody replicates it any ` +
      "more, and what was written to it may be lost, delete that directory.",
    { data: { path, directory } },
  );
}

/** Somebody reads, or writes, the output without end. `holders`: who, as far as that is known. */
export function blockedError(
  path: string,
  { waitedMs, holders }: { readonly waitedMs: number; readonly holders: readonly string[] },
): HeadwaterError {
  const who = holders.length === 0 ? "another program" : holders.join(", ");
  return new HeadwaterError(
    "follow/blocked",
    `${path} could not be locked for ${Math.round(waitedMs / 1000)} s: ${who} has a transaction open on it. End that ` +
      "transaction, or the program; following goes on by itself then.",
    { data: { path, waitedMs, holders } },
  );
}

/** Somebody writes the output at the very moment it is made. */
export function writtenToError(path: string): HeadwaterError {
  return new HeadwaterError(
    "restore/output",
    `${path} was written to while it was put in place. Stop the program that does it: only the follower may write it.`,
    { data: { path } },
  );
}
