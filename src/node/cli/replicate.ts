// `headwater replicate`: copies a live database to a replica until it is told to stop. The engine runs in this
// process: it opens nothing but the database, so no second SQLite library can disturb its locks.
import { Command } from "commander";
import type { Logger } from "../../core/base/log.ts";
import { localPath } from "../base/local-path.ts";
import { resolveOptions } from "../engine/engine-options.ts";
import type { ResolvedOptions } from "../engine/engine-options.ts";
import { checkPlatform } from "../engine/platform.ts";
import { shutdownSyncMs, startEngine } from "../engine/running-engine.ts";
import { finishStarting, startShutdownLimit, stopEngine } from "../engine/shutdown.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags, refuseConfig } from "./config-flags.ts";
import { createLineLogger } from "./line-logger.ts";
import { finishOnce, logLevelOf, logLevels, restoreIfMissing } from "./replicate-steps.ts";
import type { ReplicateFlags } from "./replicate-steps.ts";
import { StopSignals } from "./signals.ts";
import { startCommand } from "./supervise.ts";
import {
  parseBytesFlag,
  parseCostFlag,
  parseCountFlag,
  parseDurationFlag,
  usage,
} from "./values.ts";

/** Replicates until SIGINT or SIGTERM, until the command given by `-exec` ends, or once. */
export function replicateCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("replicate")
      .description(
        "Replicate a live SQLite database to one replica or several; without arguments, every database of the configuration file.",
      )
      .argument("[database]", "path of the database; it may not exist yet")
      .argument("[replica...]", "URL of each replica: file:///absolute/path or s3://bucket/path")
      .option(
        "--exec <command>",
        "run this command and replicate until it ends; exit with its code",
      )
      .option("--once", "replicate what is there, then exit")
      .option("--force-snapshot", "with -once: also write a full image")
      .option(
        "--enforce-retention",
        "with -once: also delete what retention no longer keeps, as headwater prune does",
      )
      .option("--restore-if-db-not-exists", "restore the database first if it is missing")
      .option(
        "--sync-interval <duration>",
        "upload changes at most this often; 0 = each commit at once; default: 1s",
      )
      .option(
        "--max-cost <price>",
        "most that requests may cost, such as '$1/month': writing without a pause is uploaded less often",
      )
      .option("--max-puts-per-month <count>", "the same as a number of PUT and LIST requests")
      .option("--manifest", "keep a manifest.json in the replica, for readers behind HTTP")
      .option("--state-dir <path>", "local state; default: .<name>-headwater beside the database")
      .option(
        "--take-over",
        "continue another program's replica without waiting for it to fall silent",
      )
      .option("--no-lease", "hold no lease in the replica; a second writer is found only later")
      .option(
        "--max-wal-size <size>",
        "size of the WAL above which something is wrong; default: 1GiB",
      )
      .option(
        "--max-staging <size>",
        "size of staged files above which they are merged; default: 10GiB",
      )
      .option(
        "--verify-interval <duration>",
        "compare the database with what was captured this often; 0 = never; default: 6h",
      )
      .option(
        "--verify-restore-interval <duration>",
        "compare a restore with the database this often; 0 = never; default: 168h for file, 0 for others",
      )
      .option("--log-level <level>", `one of ${logLevels.join(", ")}`),
  ).action(
    async (database: string | undefined, replicas: readonly string[], flags: ReplicateFlags) => {
      checkFlags(flags);
      if (database === undefined) {
        const { replicateFromConfig } = await import("./replicate-config.ts");
        context.exitWith(await replicateFromConfig(context, flags));
        return;
      }
      refuseConfig(flags, "a database with its replica");
      const options = optionsOf(database, replicas, flags);
      const level = logLevelOf(flags, context.environment);
      const logger = createLineLogger(context.print, { level });
      checkPlatform(logger);
      context.exitWith(await run(options, flags, logger));
    },
  );
}

function checkFlags(flags: ReplicateFlags): void {
  if (flags.once === true && flags.exec !== undefined)
    throw usage("-once and -exec cannot be used together.");
  if (flags.forceSnapshot === true && flags.once !== true)
    throw usage("-force-snapshot needs -once.");
  if (flags.enforceRetention === true && flags.once !== true)
    throw usage("-enforce-retention needs -once.");
}

function optionsOf(
  database: string,
  replicas: readonly string[],
  flags: ReplicateFlags,
): ResolvedOptions {
  if (replicas.length === 0) {
    throw usage(
      "replicate needs a database and the URL of a replica: headwater replicate app.db s3://bucket/app",
    );
  }
  const flag = [database, ...replicas].find((text) => text.startsWith("-"));
  if (flag !== undefined) throw usage(`there is no flag ${flag} of replicate.`);
  return resolveOptions({
    path: localPath(database),
    replicas: replicas.map((url) => ({ url })),
    stateDir: flags.stateDir === undefined ? undefined : localPath(flags.stateDir),
    takeOver: flags.takeOver,
    manifest: flags.manifest,
    leaseTtlMs: flags.lease === false ? 0 : undefined,
    syncIntervalMs: parseDurationFlag("sync-interval", flags.syncInterval ?? "1s"),
    maxCostPerMonth:
      flags.maxCost === undefined ? undefined : parseCostFlag("max-cost", flags.maxCost),
    maxPutsPerMonth:
      flags.maxPutsPerMonth === undefined
        ? undefined
        : parseCountFlag("max-puts-per-month", flags.maxPutsPerMonth),
    maxWalSizeBytes: parseBytesFlag("max-wal-size", flags.maxWalSize ?? "1GiB"),
    maxStagingBytes: parseBytesFlag("max-staging", flags.maxStaging ?? "10GiB"),
    verifyIntervalMs: intervalOf("verify-interval", flags.verifyInterval),
    verifyRestoreIntervalMs: intervalOf("verify-restore-interval", flags.verifyRestoreInterval),
  });
}

function intervalOf(name: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationFlag(name, text);
}

/** Runs to the end; returns the exit code. */
async function run(
  options: ResolvedOptions,
  flags: ReplicateFlags,
  logger: Logger,
): Promise<number> {
  using signals = new StopSignals();
  if (flags.restoreIfDbNotExists === true)
    await restoreIfMissing(options, { logger, signal: signals.first });
  const giveUp = new AbortController();
  await using command = flags.exec === undefined ? undefined : startCommand(flags.exec);
  const starting = startEngine(
    options,
    { logger, once: flags.once },
    { signal: AbortSignal.any([signals.second, giveUp.signal]) },
  );
  starting.catch(() => undefined);
  if (flags.once === true) {
    signals.first.addEventListener("abort", () => giveUp.abort(signals.first.reason));
    await finishOnce(await starting, flags, signals);
    return 0;
  }
  // The command may have to create the database first, so it does not wait for the engine, nor the engine for it.
  const failure = await Promise.race([
    signals.received(),
    starting.then((engine) => engine.ended()),
    ...(command === undefined ? [] : [command.exited]),
  ]).then(
    () => undefined,
    (error: unknown) => error,
  );
  // One that could not be started is the failure already.
  const exitCode = await command?.stop(signals.name ?? "SIGTERM").catch(() => 1);
  const limit = startShutdownLimit(shutdownSyncMs, signals.second);
  const engine = await finishStarting(starting, giveUp, { path: options.path, limit });
  if (engine !== undefined) await stopEngine(engine, limit);
  if (failure instanceof Error) throw failure;
  return exitCode ?? 0;
}
