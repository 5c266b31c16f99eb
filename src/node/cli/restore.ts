// `headwater restore`: Litestream's flags, in front of the library's `restore`.
import { Command } from "commander";
import { hasCode } from "../../core/base/errors.ts";
import { parseMoment } from "../../core/base/moments.ts";
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
import { defaultFollowInterval, runFollow } from "./follow.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson } from "./output.ts";
import { Progress } from "./progress.ts";
import { logLevelOf } from "./replicate-steps.ts";
import { describePlan, describeResult, toPlanRecord, toResultRecord } from "./restore-report.ts";
import { abortOnSignals } from "./signals.ts";
import { type Source, replicaKind, resolveSource } from "./sources.ts";
import {
  parseChoiceFlag,
  parseCountFlag,
  parseGenerationFlag,
  parseIndexFlag,
  parseTxidFlag,
  usage,
} from "./values.ts";

/** As they come from the command line. */
export interface RestoreFlags extends ConfigFlags {
  readonly all?: boolean;
  readonly partial?: boolean;
  readonly output?: string;
  readonly txid?: string;
  readonly timestamp?: string;
  readonly at?: string;
  readonly generation?: string;
  readonly index?: string;
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
    .argument("[source]", "URL of a replica, its directory, or path of a replicated database")
    .option("--all", "every database of the configuration file, at one common time")
    .option("--partial", "with -all: restore those that can be, and exit with 1 if others cannot")
    .option(
      "-o, --output <path>",
      "the database to make; needed with a URL or a directory; with -all a directory for all",
    )
    .option("--txid <hex>", "restore exactly this TXID, 16 hexadecimal digits")
    .option(
      "--timestamp <time>",
      'restore the newest point strictly before it: RFC 3339, "5 minutes ago", "yesterday 14:30"',
    )
    .option("--at <time>", "the same as --timestamp")
    .option("--generation <hex>", "of a Litestream 0.3 backup: restore this generation")
    .option("--index <hex>", "with --generation: restore its state after this WAL index")
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
    .option("-f, --follow", "keep the database up to date until interrupted, as headwater follow")
    .option(
      "--follow-interval <duration>",
      `with -f: look for news this often; default: ${defaultFollowInterval}`,
    );
  return addConfigFlags(command).action(async (source: string | undefined, flags: RestoreFlags) => {
    checkFollowFlags(flags);
    using interruption = abortOnSignals();
    const { signal } = interruption;
    if (flags.all === true) {
      if (source !== undefined)
        throw usage("-all takes no source: the configuration file lists them.");
      const { restoreEverything } = await import("./restore-all.ts");
      await restoreEverything(context, flags, toOptions(flags), signal);
      return;
    }
    if (flags.partial === true) throw usage("-partial needs -all.");
    if (source === undefined) throw usage("missing required argument 'source'.");
    await run(context, source, flags, signal);
  });
}

async function run(
  context: CliContext,
  sourceText: string,
  flags: RestoreFlags,
  signal: AbortSignal,
): Promise<void> {
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
  if (flags.follow === true) {
    await follow(context, { source, output, flags, options });
    return;
  }
  try {
    if (flags.dryRun === true) {
      await showPlan(context, { sourceText, source, output, flags, options, signal });
      return;
    }
    const names = { db_path: output, replica: replicaKind(source.url) };
    const { url: replica, secrets } = source;
    const result = await runRestore(context, { ...options, replica, secrets, output, signal });
    context.print(
      flags.json === true ? formatJson(toResultRecord(names, result)) : describeResult(result),
    );
  } catch (error) {
    if (flags.ifReplicaExists !== true || !hasCode(error, "replica/empty")) throw error;
    context.inform(`There is no backup at ${source.url}; nothing to do.\n`);
  }
}

function checkFollowFlags(flags: RestoreFlags): void {
  const {
    follow: isFollowing,
    followInterval,
    txid,
    timestamp,
    at,
    generation,
    dryRun,
    all,
  } = flags;
  if (isFollowing !== true) {
    if (followInterval !== undefined) throw usage("-follow-interval needs -f.");
    return;
  }
  if ([txid, timestamp, at, generation].some((flag) => flag !== undefined))
    throw usage(
      "-f follows the newest state: it cannot be combined with a TXID, time or generation.",
    );
  if (dryRun === true || all === true) throw usage("-f cannot be combined with -dry-run or -all.");
}

/** The signals are the follower's: the first one ends it in order. */
async function follow(
  context: CliContext,
  { source, output, flags, options }: Pick<PlanRequest, "source" | "output" | "flags" | "options">,
): Promise<void> {
  await runFollow(context, {
    source,
    output,
    interval: flags.followInterval ?? defaultFollowInterval,
    integrityCheck: options.integrityCheck ?? restoreDefaults.integrityCheck,
    parallelism: options.parallelism ?? restoreDefaults.parallelism,
    force: options.force === true,
    json: flags.json === true,
    ifReplicaExists: flags.ifReplicaExists === true,
    level: logLevelOf({}, context.environment),
  });
}

/** What the flags say but where from and where to. */
export type RestoreFlagOptions = Omit<RestoreOptions, "replica" | "output">;

function toOptions(flags: RestoreFlags): RestoreFlagOptions {
  const { txid, timestamp, at, generation, index } = flags;
  if ([txid, timestamp, at, generation].filter((flag) => flag !== undefined).length > 1) {
    throw usage("Give one of -txid, -timestamp (or -at, which is the same) and -generation.");
  }
  if (index !== undefined && generation === undefined) throw usage("-index needs -generation.");
  return {
    txid: txid === undefined ? undefined : parseTxidFlag(txid),
    timestamp: momentOf(flags),
    generation: generation === undefined ? undefined : parseGenerationFlag(generation),
    index: index === undefined ? undefined : parseIndexFlag(index),
    parallelism: parseCountFlag("parallelism", flags.parallelism),
    integrityCheck: parseChoiceFlag("integrity-check", integrityChecks, flags.integrityCheck),
    force: flags.force === true,
  };
}

function momentOf({ timestamp, at }: RestoreFlags): Date | undefined {
  const nowMs = systemClock.nowMs();
  if (timestamp !== undefined) return parseMoment(timestamp, nowMs, "-timestamp");
  return at === undefined ? undefined : parseMoment(at, nowMs, "-at");
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

interface PlanRequest {
  readonly sourceText: string;
  readonly source: Source;
  readonly output: string;
  readonly flags: RestoreFlags;
  readonly options: RestoreFlagOptions;
  readonly signal: AbortSignal;
}

async function showPlan(context: CliContext, request: PlanRequest): Promise<void> {
  const { sourceText, source, output, flags, options, signal } = request;
  const environment = systemEnvironment(createMessageLogger(context, systemClock));
  const { secrets } = source;
  await using store = await environment.openReplica(source.url, { signal, secrets });
  const plan = await planFromStore(store, options, { signal });
  const names = { source: sourceText, target_path: output, replica: replicaKind(source.url) };
  context.print(
    flags.json === true ? formatJson(toPlanRecord(names, plan)) : describePlan(names, plan),
  );
}
