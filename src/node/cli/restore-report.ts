// What `headwater restore` prints: the result, or with -dry-run the plan, for people and as JSON.
import { formatBytes } from "../base/quantities.ts";
import { must } from "../../core/base/assert.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { type GenerationFile, formatIndex } from "../../core/replica/generations.ts";
import type { RestoreResult } from "../restore/restore.ts";
import type { ChosenPoint, RestorePlan } from "../restore/target.ts";
import { formatDuration, formatLocalTime, formatTable, formatTime } from "./output.ts";

type Fields = Readonly<Record<string, string | number>>;

/** Litestream's fields, then ours. A Litestream 0.3 backup has a generation and an index instead of a TXID. */
export function toResultRecord(
  names: { readonly db_path: string; readonly replica: string },
  { txid, generation, ...result }: RestoreResult,
): unknown {
  return {
    ...names,
    ...(txid === undefined ? generation : { txid: formatTxid(txid) }),
    duration_ms: Math.round(result.elapsedMs),
    integrity_check: result.integrityCheck,
    size: result.sizeBytes,
    files: result.files,
    proof: result.proof,
    ...toChosenRecord(result.chosen),
  };
}

/** One line, and one more after a restore to a time. */
export function describeResult(result: RestoreResult): string {
  const { path, txid, generation, sizeBytes, files, integrityCheck } = result;
  const point =
    txid === undefined
      ? `generation ${generation?.generation ?? ""}, index ${generation?.index ?? ""}`
      : `TXID ${formatTxid(txid)}`;
  const amount = `${formatBytes(sizeBytes)} from ${files} ${files === 1 ? "file" : "files"}`;
  const check = integrityCheck === "none" ? "" : `, ${integrityCheck} integrity check passed`;
  const proved = result.proof === "proved" ? "proved" : "every file intact, no proof in them";
  return (
    `Restored ${path} at ${point}: ${amount} in ${formatDuration(result.elapsedMs)}, ${proved}${check}.\n` +
    describeChosen(result.chosen)
  );
}

interface PlanNames {
  readonly source: string;
  readonly target_path: string;
  readonly replica: string;
}

/** Litestream's fields, then ours. */
export function toPlanRecord(names: PlanNames, plan: RestorePlan): unknown {
  return {
    ...names,
    ...rangeOf(plan),
    files: fileRecords(plan),
    ...toChosenRecord(plan.chosen),
  };
}

/** Two tables: what is restored, from which files. */
export function describePlan(names: PlanNames, plan: RestorePlan): string {
  const range = rangeOf(plan);
  const header = formatTable([
    ["source", names.source],
    ["target", names.target_path],
    ["replica", names.replica],
    ...("min_txid" in range
      ? [["txids", `${range["min_txid"]} to ${range["max_txid"]}`]]
      : Object.entries(range).map(([name, value]) => [name, String(value)])),
  ]);
  const titles =
    plan.kind === "ltx"
      ? ["level", "file", "min_txid", "max_txid", "size", "timestamp"]
      : ["index", "file", "size", "timestamp"];
  const rows = fileRecords(plan).map((file) => Object.values(file).map(String));
  return `${header}${describeChosen(plan.chosen)}\n${formatTable([titles, ...rows])}`;
}

function rangeOf(plan: RestorePlan): Fields {
  if (plan.kind === "generation") {
    const { generation, index } = must(plan.files.at(-1), "last file of a plan");
    return { generation, index: formatIndex(index) };
  }
  return {
    min_txid: formatTxid(must(plan.files.at(0), "first file of a plan").minTxid),
    max_txid: formatTxid(must(plan.files.at(-1), "last file of a plan").maxTxid),
  };
}

function fileRecords(plan: RestorePlan): readonly Fields[] {
  return plan.kind === "ltx" ? plan.files.map(toLtxRecord) : plan.files.map(toGenerationRecord);
}

function toLtxRecord({
  level,
  key,
  minTxid,
  maxTxid,
  sizeBytes,
  timestampMs,
}: ReplicaFile): Fields {
  return {
    level,
    name: nameOf(key),
    min_txid: formatTxid(minTxid),
    max_txid: formatTxid(maxTxid),
    size: sizeBytes,
    timestamp: formatTime(timestampMs),
  };
}

function toGenerationRecord({ index, key, sizeBytes, timestampMs }: GenerationFile): Fields {
  return {
    index: formatIndex(index),
    name: nameOf(key),
    size: sizeBytes,
    timestamp: formatTime(timestampMs),
  };
}

function nameOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

function toChosenRecord(chosen: ChosenPoint | undefined): object {
  if (chosen === undefined) return {};
  const { timestampMs, next } = chosen;
  return {
    timestamp: formatTime(timestampMs),
    ...(next?.txid !== undefined && { next_txid: formatTxid(next.txid) }),
    ...(next !== undefined && { next_timestamp: formatTime(next.timestampMs) }),
  };
}

/** Which point a time led to. Empty without one. */
function describeChosen(chosen: ChosenPoint | undefined): string {
  if (chosen === undefined) return "";
  const { timestampMs, next } = chosen;
  const txid = next?.txid === undefined ? "" : `TXID ${formatTxid(next.txid)} `;
  const after =
    next === undefined
      ? "nothing newer is in the replica"
      : `the next is ${txid}of ${formatLocalTime(next.timestampMs)}`;
  return `This restore point is of ${formatLocalTime(timestampMs)}; ${after}.\n`;
}
