// What following makes of errors, and its own.
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { type Txid, formatTxid, nextTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";

/** A file does not continue the database that was there before it. */
export function isAnotherHistory(error: unknown): boolean {
  return hasCode(error, "replica/proof") && error.data["fault"] === "link";
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

/** Somebody writes the output at the very moment it is made. */
export function writtenToError(path: string): HeadwaterError {
  return new HeadwaterError(
    "restore/output",
    `${path} was written to while it was put in place. Stop the program that does it: only the follower may write it.`,
    { data: { path } },
  );
}
