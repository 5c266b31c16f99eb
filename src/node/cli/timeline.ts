// `headwater timeline`: exactly which moments of a replica can be restored, and which cannot and why.
import { Command } from "commander";
import { parseMoment } from "../../core/base/moments.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listReplica } from "../../core/replica/catalog.ts";
import {
  type History,
  type HistoryGap,
  type HistoryPoint,
  clipHistory,
  listHistory,
} from "../../core/replica/history.ts";
import {
  type GenerationFile,
  formatIndex,
  listGenerations,
  restorableFiles,
} from "../../core/replica/generations.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { withAllHeaders } from "../../core/replica/timeline.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { systemClock } from "../base/clock.ts";
import { formatBytes } from "../base/quantities.ts";
import { systemEnvironment } from "../restore/environment.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson, formatLocalTime, formatTable, formatTime } from "./output.ts";
import { abortOnSignals } from "./signals.ts";
import { type Source, replicaKind, resolveSource } from "./sources.ts";

interface TimelineFlags extends ConfigFlags {
  readonly from?: string;
  readonly to?: string;
  readonly json?: boolean;
}

interface Timeline extends History {
  readonly unreadable: readonly ReplicaFile[];
  /** Of a Litestream 0.3 backup at the same place. */
  readonly generations: readonly GenerationFile[];
}

const reasons: Readonly<Record<HistoryGap["reason"], string>> = {
  thinned: "thinned by retention; the next point holds them",
  hole: "files are missing: nothing holds them",
};

/** Lists restore points and gaps. Reads the header of every file. */
export function timelineCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("timeline")
      .description("List the moments that can be restored, and the gaps between them.")
      .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
      .option("--from <time>", 'only from this moment on: RFC 3339, "2h ago", "yesterday 14:30"')
      .option("--to <time>", "only up to this moment")
      .option("--json", "print JSON, with times in UTC"),
  ).action(async (sourceText: string, flags: TimelineFlags) => {
    using interruption = abortOnSignals();
    const bounds = boundsOf(flags);
    const source = await resolveSource(sourceText, flags, context);
    const timeline = await readTimeline(context, source, interruption.signal);
    const { fromMs = -Infinity, toMs = Infinity } = bounds;
    const clipped = {
      ...timeline,
      ...clipHistory(timeline, bounds),
      generations: timeline.generations.filter(
        ({ timestampMs }) => timestampMs >= fromMs && timestampMs <= toMs,
      ),
    };
    context.print(
      flags.json === true ? formatJson(toRecord(source.url, clipped)) : describe(clipped),
    );
  });
}

function boundsOf({ from, to }: TimelineFlags): { fromMs?: number; toMs?: number } {
  const nowMs = systemClock.nowMs();
  return {
    ...(from !== undefined && { fromMs: parseMoment(from, nowMs, "-from").getTime() }),
    ...(to !== undefined && { toMs: parseMoment(to, nowMs, "-to").getTime() }),
  };
}

async function readTimeline(
  context: CliContext,
  { url, secrets }: Source,
  signal: AbortSignal,
): Promise<Timeline> {
  const environment = systemEnvironment(createMessageLogger(context, systemClock));
  await using store = await environment.openReplica(url, { signal, secrets });
  const listed = await listReplica(store, layoutForUrl(url), { signal });
  const generations = await listGenerations(store, { signal });
  if (listed.length === 0 && generations.length === 0) {
    throw new HeadwaterError(
      "replica/empty",
      `There is no backup at ${store.url}: neither LTX files nor a Litestream 0.3 backup. Check the URL.`,
      { data: { url: store.url } },
    );
  }
  const { files, unreadable } = await withAllHeaders(store, listed, { signal });
  return { ...listHistory(files), unreadable, generations: restorableFiles(generations) };
}

function toRecord(url: string, { points, gaps, unreadable, generations }: Timeline): unknown {
  return {
    replica: replicaKind(url),
    points: points.map(({ txid, timestampMs, databaseSizeBytes, levels }) => ({
      txid: formatTxid(txid),
      timestamp: formatTime(timestampMs),
      size: databaseSizeBytes,
      levels,
    })),
    gaps: gaps.map(({ from, to, reason, afterMs, beforeMs }) => ({
      min_txid: formatTxid(from),
      max_txid: formatTxid(to),
      reason,
      after: afterMs === undefined ? undefined : formatTime(afterMs),
      before: beforeMs === undefined ? undefined : formatTime(beforeMs),
    })),
    unreadable: unreadable.map(({ key }) => key),
    generations: generations.map(({ generation, index, offset, timestampMs }) => ({
      generation,
      index: formatIndex(index),
      offset,
      timestamp: formatTime(timestampMs),
    })),
  };
}

function describe({ generations, ...history }: Timeline): string {
  const { points, gaps, unreadable } = history;
  const hasHistory = points.length + gaps.length + unreadable.length > 0;
  return [
    hasHistory || generations.length === 0 ? describeHistory(history) : "",
    generations.length === 0 ? "" : describeGenerations(generations),
  ]
    .filter((part) => part !== "")
    .join("\n");
}

function describeGenerations(files: readonly GenerationFile[]): string {
  const rows = files.map(({ generation, index, offset, timestampMs }) => [
    generation,
    formatIndex(index),
    offset === undefined ? "snapshot" : offset.toString(16).padStart(8, "0"),
    formatLocalTime(timestampMs),
  ]);
  return (
    formatTable([["generation", "index", "offset", "time"], ...rows]) +
    `Litestream 0.3 backup: ${counted(files.length, "restore point")}.\n`
  );
}

function describeHistory({ points, gaps, unreadable }: Omit<Timeline, "generations">): string {
  const titles = ["txid", "time", "size", "levels"];
  const [header = "", ...lines] = formatTable([titles, ...points.map(toRow)]).split("\n");
  const entries = [
    ...points.map(({ txid }, at) => ({ txid, line: lines[at] ?? "" })),
    ...gaps.map((gap) => ({ txid: gap.from, line: formatGap(gap) })),
  ].toSorted((a, b) => Number(a.txid > b.txid) - Number(a.txid < b.txid));
  return [
    header,
    ...entries.map(({ line }) => line),
    ...unreadable.map(({ key }) => `${key} cannot be read and was left out.`),
    `${counted(points.length, "restore point")}, ${counted(gaps.length, "gap")}. ` +
      "A restore to a time gives the newest point strictly before it.\n",
  ].join("\n");
}

function toRow({ txid, timestampMs, databaseSizeBytes, levels }: HistoryPoint): readonly string[] {
  const size = databaseSizeBytes === undefined ? "-" : formatBytes(databaseSizeBytes);
  return [formatTxid(txid), formatLocalTime(timestampMs), size, levels.join(" ")];
}

function formatGap({ from, to, reason }: HistoryGap): string {
  const range = from === to ? formatTxid(from) : `${formatTxid(from)} to ${formatTxid(to)}`;
  return `  gap: ${range}, ${reasons[reason]}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
