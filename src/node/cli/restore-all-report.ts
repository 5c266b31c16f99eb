// What `headwater restore -all` prints, as a table and as JSON: for each database which point the common time led to, and
// what lies after it.
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import { type Txid, formatTxid } from "../../core/ltx/txid.ts";
import type { RestoreFailure, RestoreRequest } from "../restore/restore-all.ts";
import type { ChosenPoint } from "../restore/target.ts";
import { formatBytes } from "../base/quantities.ts";
import { formatLocalTime, formatTable, formatTime } from "./output.ts";

/** Where a database stands after the restore. */
interface RestoredPoint {
  readonly txid: Txid | undefined;
  /** Of a Litestream 0.3 backup, which has no TXIDs. */
  readonly generation: { readonly generation: string } | undefined;
  readonly chosen: ChosenPoint | undefined;
}

export interface AllReport {
  readonly timestamp: Date;
  readonly databases: readonly {
    readonly request: RestoreRequest;
    readonly point: RestoredPoint;
    /** Of the database; in a plan of the files that make it. */
    readonly sizeBytes: number;
    /** `undefined` in a plan. */
    readonly proof: "proved" | "unproved" | undefined;
    readonly record: unknown;
  }[];
  /** Outputs that were there already, and are to stay. */
  readonly existing: readonly string[];
  readonly withoutBackup: readonly RestoreRequest[];
  readonly failed: readonly RestoreFailure[];
}

/** The common time; for each database the fields of a single restore; then what was left alone, and what failed. */
export function toAllRecord({
  timestamp,
  databases,
  existing,
  withoutBackup,
  failed,
}: AllReport): unknown {
  return {
    timestamp: formatTime(timestamp.getTime()),
    databases: databases.map(({ record }) => record),
    skipped: [
      ...existing.map((path) => ({ db_path: path, reason: "exists" })),
      ...withoutBackup.map(({ output }) => ({ db_path: output, reason: "no backup" })),
    ],
    failed: failed.map(({ request, error }) => ({
      db_path: request.output,
      code: error instanceof HeadwaterError ? error.code : undefined,
      error: messageOf(error),
    })),
  };
}

/** After a restore. */
export function describeAll(report: AllReport): string {
  const count = countOf(report.databases);
  return `${describe(report, "size")}Restored ${count} as of ${formatLocalTime(report.timestamp.getTime())}.\n`;
}

/** With -dry-run. */
export function describePlans(report: AllReport): string {
  const count = countOf(report.databases);
  return (
    describe(report, "to fetch") +
    `Would restore ${count} as of ${formatLocalTime(report.timestamp.getTime())}.\n`
  );
}

function countOf({ length }: readonly unknown[]): string {
  return `${length} ${length === 1 ? "database" : "databases"}`;
}

function describe({ databases, existing, withoutBackup, failed }: AllReport, size: string): string {
  const rows = databases.map(({ request, point, sizeBytes, proof }) => [
    request.output,
    point.txid === undefined ? (point.generation?.generation ?? "") : formatTxid(point.txid),
    point.chosen === undefined ? "" : formatLocalTime(point.chosen.timestampMs),
    afterOf(point.chosen),
    formatBytes(sizeBytes),
    ...(proof === undefined ? [] : [proof]),
  ]);
  const titles = ["database", "txid", "of", "next", size];
  return [
    rows.length === 0 ? "" : formatTable([titles, ...rows]),
    ...existing.map((path) => `${path} exists already; left as it is.\n`),
    ...withoutBackup.map(({ output }) => `${output} has no backup.\n`),
    ...failed.map(({ request, error }) => `${request.output} failed: ${messageOf(error)}\n`),
  ].join("");
}

function afterOf(chosen: ChosenPoint | undefined): string {
  if (chosen?.next === undefined) return "nothing newer";
  return formatLocalTime(chosen.next.timestampMs);
}
