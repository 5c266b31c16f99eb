// What the doctor says: one check after the other, each with what was found and, unless all is well, what to change.
import { errorCodes } from "../../core/base/error-codes.ts";
import { HeadwaterError, messageOf, platformCode } from "../../core/base/errors.ts";

/** From best to worst. Only a problem makes `headwater doctor` fail. */
export const checkResults = ["ok", "note", "warning", "problem"] as const;
export type CheckResult = (typeof checkResults)[number];

/** Every check there is; docs/doctor.md says what each looks at. Names are stable. */
export const checkNames = [
  "configuration",
  // A store.
  "reachable",
  "write",
  "features",
  "list-after-write",
  "read-range",
  "create-only",
  "replace-if-unchanged",
  "copy",
  "object-time",
  "clock-skew",
  "delete",
  "delete-many",
  "list-after-delete",
  "latency",
  "left-over",
  // What is in a replica.
  "replica",
  "newest-file",
  "gaps",
  "agreement",
  // A database.
  "database",
  "permissions",
  "page-size",
  "journal-mode",
  "sqlite-version",
  "wal-size",
  "long-readers",
  "locks",
  "state",
  "replicator",
  "litestream",
  "state-directory",
  "disk-space",
  "file-system",
] as const;
export type CheckName = (typeof checkNames)[number];

export interface Check {
  readonly name: CheckName;
  readonly result: CheckResult;
  /** What was found, with the measured values. */
  readonly found: string;
  /** What to change, and what happens otherwise. */
  readonly change?: string | undefined;
  /** The measured values, for programs. */
  readonly values?: Readonly<Record<string, number | string | boolean>> | undefined;
}

/** Takes each check as soon as it is made, so that an interruption loses none. */
export type Report = (check: Check) => void;

/** What a check is about. */
export interface Subject {
  readonly kind: "configuration" | "database" | "store" | "replica";
  /** A path, or a URL without secrets. */
  readonly name: string;
}

/** The worst of the results; `"ok"` for none. */
export function worstOf(results: Iterable<CheckResult>): CheckResult {
  const ranks = [...results].map((result) => checkResults.indexOf(result));
  return checkResults[Math.max(0, ...ranks)] ?? "ok";
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The check for an error: its message, what its code says to do, and what this check adds. */
export function failedCheck(name: CheckName, error: unknown, advice?: string): Check {
  const message = messageOf(error);
  const next = error instanceof HeadwaterError ? errorCodes[error.code].next : undefined;
  const isSaid = next !== undefined && message.endsWith(next);
  const change = [next ?? adviceOn(error), advice].filter((part) => part !== undefined);
  return {
    name,
    result: "problem",
    found: isSaid ? message.slice(0, -next.length).trim() : message,
    change: change.join(" "),
  };
}

function adviceOn(error: unknown): string {
  return ["EACCES", "EPERM", "EROFS"].includes(platformCode(error) ?? "")
    ? "Check owner and permissions, also of the directories above."
    : "Read the message.";
}
