// The local state of a database: is it sound, how far behind is it, and who is replicating now.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseTxid } from "../../core/ltx/txid.ts";
import { readJson } from "../engine/durable-file.ts";
import { litestreamStateOf } from "../engine/litestream-beside.ts";
import { furthestBehind, readStateFiles } from "../engine/state-summary.ts";
import type { StateSummary } from "../engine/state-summary.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import type { DatabaseContext } from "./database-context.ts";
import { locksOn, processName, writersOf } from "../file/file-locks.ts";
import { counted, failedCheck } from "./report.ts";
import type { Check, Report } from "./report.ts";

/** A Litestream that has put nothing for as long is taken for one that has ended, as when replicating begins. */
const litestreamQuietMs = 120_000;

/** The file that a running Headwater holds locked. */
export function lockFileOf(stateDirectory: string): string {
  return join(stateDirectory, "lock");
}

/** What is recorded locally of a replica. */
export interface Acknowledged {
  /** Its URL without secrets. */
  readonly replica: string;
  readonly txid: bigint;
}

/** Reports `state`, `replicator` and `litestream`. Resolves to what each replica has acknowledged, if anything. */
export async function checkLocalState(
  context: DatabaseContext,
  report: Report,
): Promise<readonly Acknowledged[]> {
  const summary = await readSummary(context, report);
  report(await checkReplicator(context, summary));
  report(await checkLitestream(context));
  return (summary?.replicas ?? []).flatMap(({ url, txid: text = "" }) => {
    const txid = parseTxid(text);
    return txid === undefined ? [] : [{ replica: url, txid }];
  });
}

async function readSummary(
  { stateDirectory }: DatabaseContext,
  report: Report,
): Promise<StateSummary | undefined> {
  try {
    const summary = await readStateFiles(stateDirectory);
    report(describeState(summary));
    return summary;
  } catch (error) {
    report(failedCheck("state", error));
    return undefined;
  }
}

function describeState(summary: StateSummary | undefined): Check {
  const name = "state";
  if (summary === undefined) {
    const change =
      "Nothing: the first start of headwater replicate makes it and puts a full image.";
    return { name, result: "note", found: "nothing has been replicated from here yet", change };
  }
  const { localTxid = "", stagedFiles, replicas } = summary;
  const { url: replica = "", txid: replicatedTxid = "" } = furthestBehind(replicas) ?? {};
  const values = { localTxid, replicatedTxid, stagedFiles, replica };
  const behind =
    BigInt(`0x${localTxid || "0"}`) - BigInt(`0x${replicatedTxid || localTxid || "0"}`);
  if (behind <= 0n) {
    const found =
      replicatedTxid === ""
        ? "sound; nothing has been acknowledged yet"
        : `sound; all up to TXID ${replicatedTxid} is acknowledged`;
    return { name, result: "ok", found, values };
  }
  return {
    name,
    result: "note",
    found: `${counted(Number(behind), "TXID")} up to ${localTxid} wait for the upload; TXID ${replicatedTxid} is acknowledged`,
    change:
      "Nothing while headwater replicate runs and the store answers; otherwise start it. What is staged is on this disk only.",
    values,
  };
}

async function checkReplicator(
  { stateDirectory }: DatabaseContext,
  summary: StateSummary | undefined,
): Promise<Check> {
  const name = "replicator";
  const holders = await writersOf(lockFileOf(stateDirectory));
  const record = await readJson(nodeFileSystem, join(stateDirectory, "lock.json")).catch(
    () => undefined,
  );
  const pid = holders?.values().next().value;
  if (pid !== undefined) {
    const since = record?.["pid"] === pid ? `, since ${String(record["startedAt"])}` : "";
    return {
      name,
      result: "ok",
      found: `a Headwater is running: process ${pid}${since}`,
      values: { pid },
    };
  }
  if (holders === undefined) {
    const change = "Nothing, or run the doctor on Linux.";
    return { name, result: "note", found: "whether a Headwater runs cannot be seen here", change };
  }
  return {
    name,
    result: summary === undefined ? "ok" : "note",
    found: "no Headwater is running on this database",
    change:
      summary === undefined
        ? undefined
        : "Start headwater replicate: new commits are not replicated.",
  };
}

async function checkLitestream({ path, metaPath, clock }: DatabaseContext): Promise<Check> {
  const name = "litestream";
  const directory = metaPath ?? litestreamStateOf(path);
  const pid = await litestreamOn(path);
  const wroteMs = await newestFileMs(join(directory, "ltx", "0"));
  const isQuiet = wroteMs === undefined || clock.nowMs() - wroteMs > litestreamQuietMs;
  if (pid !== undefined || !isQuiet) {
    const who = pid === undefined ? "A Litestream" : `Litestream, process ${pid},`;
    return {
      name,
      result: "warning",
      found: `${who} is at work on this database, or was two minutes ago`,
      change:
        "Only one of the two can replicate a database. To change to Headwater: stop Litestream, then start headwater " +
        "replicate, which continues its replica.",
    };
  }
  if ((await stat(directory).catch(() => undefined)) === undefined) {
    return { name, result: "ok", found: "no Litestream works on this database" };
  }
  return {
    name,
    result: "note",
    found: `Litestream has left its state in ${directory}`,
    change: "Nothing: headwater replicate sets it aside when it starts and continues the replica.",
  };
}

async function litestreamOn(path: string): Promise<number | undefined> {
  for (const pid of (await locksOn(path))?.users ?? []) {
    if ((await processName(pid)) === "litestream") return pid;
  }
  return undefined;
}

async function newestFileMs(directory: string): Promise<number | undefined> {
  const names: readonly string[] = await readdir(directory).catch(() => []);
  const newest = names.toSorted().at(-1);
  if (newest === undefined) return undefined;
  return (await stat(join(directory, newest)).catch(() => undefined))?.mtimeMs;
}
