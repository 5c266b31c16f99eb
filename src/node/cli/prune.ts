// `headwater prune`: deletes what retention no longer keeps, or says what that would be. The engine deletes by the same
// function.
import { Command } from "commander";
import { HeadwaterError } from "../../core/base/errors.ts";
import { openCodec } from "../../core/codec/codec.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { manifestKey } from "../../core/replica/manifest.ts";
import { heldByReaders, readPublishedManifest } from "../../core/replica/manifest-readers.ts";
import { applyRetention } from "../../core/replica/prune.ts";
import {
  type RetentionPlan,
  type RetentionReason,
  type RetentionVerdict,
  planRetention,
  retentionDefaults,
} from "../../core/replica/retention.ts";
import { systemClock } from "../base/clock.ts";
import { formatBytes } from "../base/quantities.ts";
import { systemEnvironment } from "../restore/environment.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson, formatTable, formatTime } from "./output.ts";
import { abortOnSignals } from "./signals.ts";
import { replicaKind, resolveSource } from "./sources.ts";
import { parseDurationFlag } from "./values.ts";

interface PruneFlags extends ConfigFlags {
  readonly dryRun?: boolean;
  readonly snapshotRetention: string;
  readonly l0Retention: string;
  readonly json?: boolean;
}

/** Applies retention to a replica once; with `-dry-run` only says what would go and which points would be lost. */
export function pruneCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("prune")
      .description(
        "Delete the files of a replica that retention no longer keeps. The newest state always stays.",
      )
      .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
      .option("--dry-run", "only say what would go and which restore points would be lost")
      .option(
        "--snapshot-retention <duration>",
        "full images older than this go, and the history before them",
        "24h",
      )
      .option(
        "--l0-retention <duration>",
        "level-0 files older than this go once they are compacted; 0 = never",
        "5m",
      )
      .option("--json", "print JSON"),
  ).action(async (sourceText: string, flags: PruneFlags) => {
    const policy = {
      ...retentionDefaults,
      snapshotRetentionMs: parseDurationFlag("snapshot-retention", flags.snapshotRetention),
      l0RetentionMs: parseDurationFlag("l0-retention", flags.l0Retention),
    };
    using interruption = abortOnSignals();
    const { signal } = interruption;
    const { url, secrets } = await resolveSource(sourceText, flags, context);
    const logger = createMessageLogger(context, systemClock);
    await using store = await systemEnvironment(logger).openReplica(url, { signal, secrets });
    const layout = layoutForUrl(url);
    const files = await listReplica(store, layout, { signal });
    if (files.length === 0) {
      throw new HeadwaterError(
        "replica/empty",
        `There is no backup at ${store.url}. Check the URL.`,
      );
    }
    const published = await readPublishedManifest(store, { signal });
    const nowMs = systemClock.nowMs();
    const isHeld = heldByReaders(published, { graceMs: policy.graceMs, nowMs });
    const plan = planRetention(files, policy, nowMs, isHeld);
    const isDryRun = flags.dryRun === true;
    if (!isDryRun) await applyRetention(plan, { store, layout, codec: openCodec(), signal });
    const print = flags.json === true ? toJson : describe;
    context.print(print(plan, { url, isDryRun }));
  });
}

interface Shown {
  readonly url: string;
  readonly isDryRun: boolean;
}

function toJson({ verdicts, lost }: RetentionPlan, { url, isDryRun }: Shown): string {
  const records = (goes: boolean): unknown =>
    verdicts
      .filter((verdict) => verdict.goes === goes)
      .map(({ file, reason }) => ({
        level: file.level,
        min_txid: formatTxid(file.minTxid),
        max_txid: formatTxid(file.maxTxid),
        size: file.sizeBytes,
        timestamp: formatTime(file.timestampMs),
        reason,
      }));
  return formatJson({
    replica: replicaKind(url),
    dry_run: isDryRun,
    deleted: records(true),
    kept: records(false),
    lost: lost.map(({ from, to }) => ({ min_txid: formatTxid(from), max_txid: formatTxid(to) })),
  });
}

const meaning: Readonly<Record<RetentionReason, string>> = {
  "old-image": "older than full images are kept",
  "before-images": "ends before the images that are kept",
  compacted: "level 1 holds it",
  newest: "newest of its level",
  "in-plan": "the newest state is restored from it",
  "in-recent-plan": "a restore that still runs may need it",
  "in-manifest": "readers by the manifest may still ask for it",
  young: "young",
  "not-compacted": "level 1 does not replace it yet",
  "in-history": "part of the history that is kept",
  "after-kept": "follows an older file that is kept",
  forever: "level 0 is kept for ever",
};

function describe({ verdicts, gone, lost }: RetentionPlan, { isDryRun }: Shown): string {
  const going = verdicts.filter(({ goes }) => goes);
  const sizeBytes = gone.reduce((sum, file) => sum + file.sizeBytes, 0);
  const verb = isDryRun ? "would go" : "deleted";
  const held = verdicts.filter(({ reason }) => reason === "in-manifest").length;
  const points = lost.reduce((sum, { from, to }) => sum + (to - from) + 1n, 0n);
  const table =
    going.length === 0
      ? ""
      : formatTable([
          ["level", "min_txid", "max_txid", "size", "created", "why"],
          ...going.map(toRow),
        ]);
  const losses = lost.map(({ from, to }) => `lost: ${formatTxid(from)} to ${formatTxid(to)}\n`);
  return [
    table,
    ...losses,
    `${gone.length} files ${verb} (${formatBytes(sizeBytes)}), ${verdicts.length - gone.length} stay. `,
    `${points} restore points ${isDryRun ? "would be" : "are"} lost; the newest stays.\n`,
    held === 0 ? "" : heldHint(held),
  ].join("");
}

/** Why less goes than the policy says, and what would change that. */
function heldHint(count: number): string {
  return (
    `${count} more would go, but readers by ${manifestKey} may still ask for them. A replication with retention leaves them ` +
    `out of it and deletes them later; if nobody reads by it, delete ${manifestKey}.\n`
  );
}

function toRow({ file, reason }: RetentionVerdict): readonly string[] {
  return [
    String(file.level),
    formatTxid(file.minTxid),
    formatTxid(file.maxTxid),
    String(file.sizeBytes),
    formatTime(file.timestampMs),
    meaning[reason],
  ];
}
