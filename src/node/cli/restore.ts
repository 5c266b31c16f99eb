// `headwater restore`: Litestream's flags, in front of the library's `restore`.
import { Command, Option } from "commander";
import { must } from "../../core/base/assert.ts";
import { hasCode } from "../../core/base/errors.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { systemClock } from "../base/clock.ts";
import { localPath } from "../base/local-path.ts";
import { systemEnvironment } from "../restore/environment.ts";
import {
  type RestoreOptions,
  type RestoreResult,
  restoreDefaults,
  restore,
} from "../restore/restore.ts";
import { planFromStore } from "../restore/target.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatBytes, formatDuration, formatJson, formatTable, formatTime } from "./output.ts";
import { Progress } from "./progress.ts";
import { abortOnSignals } from "./signals.ts";
import { type Source, replicaKind, resolveSource } from "./sources.ts";
import {
  parseChoiceFlag,
  parseCountFlag,
  parseTimestampFlag,
  parseTxidFlag,
  usage,
} from "./values.ts";

interface RestoreFlags extends ConfigFlags {
  readonly output?: string;
  readonly txid?: string;
  readonly timestamp?: string;
  readonly parallelism: string;
  readonly integrityCheck: string;
  readonly ifDbNotExists?: boolean;
  readonly ifReplicaExists?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly follow?: boolean;
  readonly followInterval?: string;
}

const integrityChecks = ["none", "quick", "full"] as const;

/** Restores a database from a replica. */
export function restoreCommand(context: CliContext): Command {
  const command = new Command("restore")
    .description("Restore a database from a replica.")
    .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
    .option("-o, --output <path>", "the database to make; needed with a URL or a directory")
    .option("--txid <hex>", "restore exactly this TXID, 16 hexadecimal digits")
    .option("--timestamp <time>", "restore the newest point strictly before this RFC 3339 time")
    .option("--parallelism <n>", "requests at once", String(restoreDefaults.parallelism))
    .option(
      "--integrity-check <kind>",
      "SQLite's own check of the result: none, quick, full",
      "none",
    )
    .option("--if-db-not-exists", "do nothing, successfully, if the output exists")
    .option("--if-replica-exists", "do nothing, successfully, if there is no backup")
    .option("--dry-run", "print what would be restored from which files")
    .option("--force", "replace an existing database once the restore has succeeded")
    .option("--json", "print the result as JSON")
    .addOption(new Option("-f, --follow").hideHelp())
    .addOption(new Option("--follow-interval <duration>").hideHelp());
  return addConfigFlags(command).action(async (source: string, flags: RestoreFlags) => {
    using interruption = abortOnSignals();
    await run(context, source, flags, interruption.signal);
  });
}

async function run(
  context: CliContext,
  sourceText: string,
  flags: RestoreFlags,
  signal: AbortSignal,
): Promise<void> {
  if (flags.follow === true || flags.followInterval !== undefined) {
    throw usage(
      "-f and -follow-interval are not supported by this version: restore again to catch up.",
    );
  }
  const options = toOptions(flags);
  const source = await resolveSource(sourceText, flags, context);
  const outputText = flags.output ?? source.databasePath;
  if (outputText === undefined || outputText === "") {
    throw usage("Say where to restore to: -o PATH.");
  }
  const output = localPath(outputText);
  const { fileSystem } = systemEnvironment();
  if (flags.ifDbNotExists === true && (await fileSystem.status(output)) !== undefined) {
    context.inform(`${output} exists already; nothing to do.\n`);
    return;
  }
  try {
    if (flags.dryRun === true) {
      await showPlan(context, { sourceText, source, output, flags, options, signal });
      return;
    }
    const result = await runRestore(context, {
      ...options,
      replica: source.url,
      secrets: source.secrets,
      output,
      signal,
    });
    context.print(
      flags.json === true ? formatJson(toRecord(source, output, result)) : describe(result),
    );
  } catch (error) {
    if (flags.ifReplicaExists !== true || !hasCode(error, "replica/empty")) throw error;
    context.inform(`There is no backup at ${source.url}; nothing to do.\n`);
  }
}

function toOptions(flags: RestoreFlags): Omit<RestoreOptions, "replica" | "output"> {
  if (flags.txid !== undefined && flags.timestamp !== undefined) {
    throw usage("Give -txid or -timestamp, not both.");
  }
  return {
    txid: flags.txid === undefined ? undefined : parseTxidFlag(flags.txid),
    timestamp: flags.timestamp === undefined ? undefined : parseTimestampFlag(flags.timestamp),
    parallelism: parseCountFlag("parallelism", flags.parallelism),
    integrityCheck: parseChoiceFlag("integrity-check", integrityChecks, flags.integrityCheck),
    force: flags.force === true,
  };
}

async function runRestore(context: CliContext, options: RestoreOptions): Promise<RestoreResult> {
  using progress = new Progress(context, systemClock);
  return await restore({
    ...options,
    logger: createMessageLogger(context, systemClock),
    onProgress: ({ phase, doneBytes, totalBytes }) => {
      const label = `${phase === "check" ? "checking" : "restoring"} ${options.output}`;
      progress.update({ label, doneBytes, totalBytes });
    },
  });
}

/** Litestream's fields, then ours. */
function toRecord(source: Source, output: string, result: RestoreResult): unknown {
  return {
    db_path: output,
    replica: replicaKind(source.url),
    txid: formatTxid(result.txid),
    duration_ms: Math.round(result.elapsedMs),
    integrity_check: result.integrityCheck,
    size: result.sizeBytes,
    files: result.files,
    proof: result.proof,
  };
}

function describe({
  path,
  txid,
  sizeBytes,
  files,
  elapsedMs,
  proof,
  integrityCheck,
}: RestoreResult): string {
  const amount = `${formatBytes(sizeBytes)} from ${files} ${files === 1 ? "file" : "files"}`;
  const check = integrityCheck === "none" ? "" : `, ${integrityCheck} integrity check passed`;
  const proved = proof === "proved" ? "proved" : "every file intact, no proof in them";
  return `Restored ${path} at TXID ${formatTxid(txid)}: ${amount} in ${formatDuration(elapsedMs)}, ${proved}${check}.\n`;
}

interface PlanRequest {
  readonly sourceText: string;
  readonly source: Source;
  readonly output: string;
  readonly flags: RestoreFlags;
  readonly options: Omit<RestoreOptions, "replica" | "output">;
  readonly signal: AbortSignal;
}

async function showPlan(context: CliContext, request: PlanRequest): Promise<void> {
  const { sourceText, source, output, flags, options, signal } = request;
  const environment = systemEnvironment(createMessageLogger(context, systemClock));
  await using store = await environment.openReplica(source.url, {
    signal,
    secrets: source.secrets,
  });
  const files = await planFromStore(store, options, { signal });
  const first = must(files.at(0), "first file of a plan");
  const last = must(files.at(-1), "last file of a plan");
  const plan = {
    source: sourceText,
    target_path: output,
    replica: replicaKind(source.url),
    min_txid: formatTxid(first.minTxid),
    max_txid: formatTxid(last.maxTxid),
    files: files.map((file) => toPlanRecord(file)),
  };
  if (flags.json === true) {
    context.print(formatJson(plan));
    return;
  }
  const header = formatTable([
    ["source", plan.source],
    ["target", plan.target_path],
    ["replica", plan.replica],
    ["txids", `${plan.min_txid} to ${plan.max_txid}`],
  ]);
  const rows = plan.files.map((file) => Object.values(file).map(String));
  const titles = ["level", "file", "min_txid", "max_txid", "size", "timestamp"];
  context.print(`${header}\n${formatTable([titles, ...rows])}`);
}

function toPlanRecord(file: ReplicaFile): Readonly<Record<string, string | number>> {
  return {
    level: file.level,
    name: file.key.slice(file.key.lastIndexOf("/") + 1),
    min_txid: formatTxid(file.minTxid),
    max_txid: formatTxid(file.maxTxid),
    size: file.sizeBytes,
    timestamp: formatTime(file.timestampMs),
  };
}
