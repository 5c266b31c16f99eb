// What is in a replica already: how much, how new, by whom, and whether it can be restored. Reads the listing and one
// header; `headwater verify` reads everything.
import type { Waiting } from "../../core/base/async.ts";
import { collectBytes, toHex64 } from "../../core/base/bytes.ts";
import type { Clock } from "../../core/base/clock.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "../../core/ltx/header.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { listGenerations } from "../../core/replica/generations.ts";
import { listHistory } from "../../core/replica/history.ts";
import type { ReplicaLayout } from "../../core/replica/layout.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { formatBytes } from "../base/quantities.ts";
import { counted, failedCheck } from "./report.ts";
import type { Check, Report } from "./report.ts";

/** The newest file of a replica. */
export interface NewestFile {
  readonly txid: bigint;
  readonly pageSize: number;
}

export interface ReplicaCheckOptions extends Waiting {
  readonly clock: Clock;
  readonly layout: ReplicaLayout;
}

/** Reports on the replica in `store`. Resolves to its newest file if there is one that can be read. */
export async function checkReplica(
  store: ObjectStore,
  options: ReplicaCheckOptions,
  report: Report,
): Promise<NewestFile | undefined> {
  try {
    const files = await listReplica(store, options.layout, options);
    const generations = await listGenerations(store, options);
    report(countOf(files, generations.length));
    const newest = newestOf(files);
    if (newest === undefined) return undefined;
    const header = await readHeader(store, newest, options);
    report(describeNewest(newest, header, options.clock));
    report(checkGaps(files));
    return header && { txid: newest.maxTxid, pageSize: header.pageSize };
  } catch (error) {
    options.signal?.throwIfAborted();
    report(failedCheck("replica", error));
    return undefined;
  }
}

function countOf(files: readonly ReplicaFile[], generationFiles: number): Check {
  const name = "replica";
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const values = { files: files.length, sizeBytes, generationFiles };
  const older =
    generationFiles === 0
      ? ""
      : ` and ${counted(generationFiles, "file")} of a Litestream 0.3 backup`;
  if (files.length === 0) {
    return {
      name,
      result: "note",
      found: `no LTX files${older}`,
      change:
        generationFiles === 0
          ? "Nothing, if nothing has been replicated here yet. Otherwise check the URL."
          : "Nothing: the old backup can be restored, and new files are put beside it.",
      values,
    };
  }
  const counts = [...Map.groupBy(files, ({ level }) => level)]
    .toSorted(([a], [b]) => a - b)
    .map(([level, some]) => `${some.length} at level ${level}`);
  const found = `${counted(files.length, "file")} (${counts.join(", ")}), ${formatBytes(sizeBytes)}${older}`;
  return { name, result: "ok", found, values };
}

function newestOf(files: readonly ReplicaFile[]): ReplicaFile | undefined {
  return files.toSorted(
    (a, b) => Number(b.maxTxid > a.maxTxid) - Number(b.maxTxid < a.maxTxid) || a.level - b.level,
  )[0];
}

async function readHeader(
  store: ObjectStore,
  { key }: ReplicaFile,
  { signal }: Waiting,
): Promise<LtxHeader | undefined> {
  const content = await store.get(key, { length: ltxHeaderSizeBytes, signal });
  const bytes = content && (await collectBytes(content.body));
  try {
    return bytes && decodeHeader(bytes, key);
  } catch {
    return undefined;
  }
}

function describeNewest(file: ReplicaFile, header: LtxHeader | undefined, clock: Clock): Check {
  const name = "newest-file";
  if (header === undefined) {
    return {
      name,
      result: "problem",
      found: `the newest file, ${file.key}, cannot be read as LTX`,
      change: "Run headwater verify: it says which restore points are left.",
    };
  }
  const ageMs = Math.max(0, clock.nowMs() - header.timestampMs);
  const writer =
    header.nodeId === 0n ? "Litestream" : `the Headwater with node id ${toHex64(header.nodeId)}`;
  const txid = formatTxid(file.maxTxid);
  const time = new Date(header.timestampMs).toISOString();
  return {
    name,
    result: "ok",
    found: `TXID ${txid} of ${time}, ${ageOf(ageMs)} ago, by ${writer}`,
    values: { txid, ageMs, writer: header.nodeId === 0n ? "litestream" : "headwater" },
  };
}

function checkGaps(files: readonly ReplicaFile[]): Check {
  const { points, gaps } = listHistory(files);
  const holes = gaps.filter(({ reason }) => reason === "hole");
  const values = { restorePoints: points.length, holes: holes.length };
  const [hole] = holes;
  if (hole === undefined) {
    const found = `${counted(points.length, "restore point")}, no files missing`;
    return { name: "gaps", result: "ok", found, values };
  }
  return {
    name: "gaps",
    result: "problem",
    found: `no files give TXID ${formatTxid(hole.from)} to ${formatTxid(hole.to)}, the newest`,
    change:
      "Restore to a point before it if you must (headwater timeline lists them), and let headwater replicate run: it puts " +
      "a full image after the hole. Find out who deletes files there.",
    values,
  };
}

/** `12 s`, `5 min`, `3 h`, `2 days`. */
function ageOf(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86_400).toFixed(0)} days`;
}

/** Do a database, what is known locally of its replica, and the replica itself fit together? */
export function checkAgreement(
  newest: NewestFile,
  local: { readonly pageSize: number | undefined; readonly acknowledgedTxid: bigint | undefined },
): Check {
  const name = "agreement";
  const { pageSize, acknowledgedTxid } = local;
  const txid = toHex64(newest.txid);
  if (pageSize !== undefined && pageSize !== newest.pageSize) {
    return {
      name,
      result: "problem",
      found: `the replica has pages of ${newest.pageSize} bytes, the database of ${pageSize}`,
      change: "Give this database a replica URL of its own: one history has one page size.",
    };
  }
  if (acknowledgedTxid !== undefined && acknowledgedTxid > newest.txid) {
    return {
      name,
      result: "problem",
      found: `the replica ends at TXID ${txid} but has acknowledged ${toHex64(acknowledgedTxid)}`,
      change:
        "Files were deleted there. Find out by whom; the next start of headwater replicate puts a full image.",
    };
  }
  if (acknowledgedTxid !== undefined && acknowledgedTxid < newest.txid) {
    return {
      name,
      result: "note",
      found: `the replica ends at TXID ${txid}, after ${toHex64(acknowledgedTxid)}, the last one recorded here`,
      change:
        "Nothing while Headwater runs here: the replica has moved on meanwhile. Otherwise another program writes to it; " +
        "stop it before you start Headwater.",
    };
  }
  return { name, result: "ok", found: "the replica fits the database and the local state" };
}
