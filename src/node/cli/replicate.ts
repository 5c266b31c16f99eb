// `headwater replicate`: copies a live database to a replica until it is told to stop. The engine runs in this
// process: it opens nothing but the database, so no second SQLite library can disturb its locks.
import { statSync } from "node:fs";
import { Command, Option } from "commander";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { resolveOptions } from "../engine/engine-options.ts";
import type { ResolvedOptions } from "../engine/engine-options.ts";
import { checkPlatform } from "../engine/platform.ts";
import { shutdownSyncMs, startEngine } from "../engine/running-engine.ts";
import type { RunningEngine } from "../engine/running-engine.ts";
import { restore } from "../restore/restore.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags, rejectConfigFlags } from "./later-flags.ts";
import { createLineLogger } from "./line-logger.ts";
import { StopSignals } from "./signals.ts";
import { localPath } from "./sources.ts";
import { startCommand } from "./supervise.ts";
import { parseBytesFlag, parseChoiceFlag, parseDurationFlag, usage } from "./values.ts";

const logLevels = ["trace", "debug", "info", "warn", "error"] as const;

interface ReplicateFlags {
  readonly once?: boolean;
  readonly forceSnapshot?: boolean;
  readonly exec?: string;
  readonly logLevel?: string;
  readonly restoreIfDbNotExists?: boolean;
  readonly syncInterval?: string;
  readonly stateDir?: string;
  readonly takeOver?: boolean;
  readonly maxWalSize?: string;
  readonly maxStaging?: string;
  readonly enforceRetention?: boolean;
}

/** Replicates until SIGINT or SIGTERM, until the command given by `-exec` ends, or once. */
export function replicateCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("replicate")
      .description("Replicate a live SQLite database to a replica.")
      .argument("[database]", "path of the database; it may not exist yet")
      .argument("[replica...]", "URL of the replica: file:///absolute/path or s3://bucket/path")
      .option(
        "--exec <command>",
        "run this command and replicate until it ends; exit with its code",
      )
      .option("--once", "replicate what is there, then exit")
      .option("--force-snapshot", "with -once: also write a full image")
      .addOption(new Option("--enforce-retention").hideHelp())
      .option("--restore-if-db-not-exists", "restore the database first if it is missing")
      .option(
        "--sync-interval <duration>",
        "upload changes at most this often; 0 = each commit at once",
        "1s",
      )
      .option("--state-dir <path>", "local state; default: .<name>-headwater beside the database")
      .option(
        "--take-over",
        "continue another program's replica without waiting for it to fall silent",
      )
      .option("--max-wal-size <size>", "size of the WAL above which something is wrong", "1GiB")
      .option("--max-staging <size>", "size of staged files above which they are merged", "10GiB")
      .option("--log-level <level>", `one of ${logLevels.join(", ")}`),
  ).action(
    async (database: string | undefined, replicas: readonly string[], flags: ReplicateFlags) => {
      rejectConfigFlags(flags);
      const options = optionsOf(database, replicas, flags);
      const text = (flags.logLevel ?? context.environment["LOG_LEVEL"] ?? "info").toLowerCase();
      const level = parseChoiceFlag("log-level", [...logLevels, "warning"], text);
      const logger = createLineLogger(context.print, level);
      checkPlatform(logger);
      await restoreIfMissing(options, flags, logger);
      context.exitWith(await run(options, flags, logger));
    },
  );
}

function optionsOf(
  database: string | undefined,
  replicas: readonly string[],
  flags: ReplicateFlags,
): ResolvedOptions {
  const [replica] = replicas;
  if (database === undefined || replica === undefined) {
    throw usage(
      "replicate needs a database and the URL of a replica: headwater replicate app.db s3://bucket/app",
    );
  }
  const flag = replicas.find((text) => text.startsWith("-"));
  if (flag !== undefined) throw usage(`there is no flag ${flag} of replicate.`);
  if (replicas.length > 1)
    throw usage("one database has one replica URL in this version; give exactly one.");
  if (flags.once === true && flags.exec !== undefined)
    throw usage("-once and -exec cannot be used together.");
  if (flags.forceSnapshot === true && flags.once !== true)
    throw usage("-force-snapshot needs -once.");
  if (flags.enforceRetention === true)
    throw usage("-enforce-retention is not supported by this version.");
  return resolveOptions({
    path: localPath(database),
    replica,
    stateDir: flags.stateDir === undefined ? undefined : localPath(flags.stateDir),
    takeOver: flags.takeOver,
    syncIntervalMs: parseDurationFlag("sync-interval", flags.syncInterval ?? "1s"),
    maxWalSizeBytes: parseBytesFlag("max-wal-size", flags.maxWalSize ?? "1GiB"),
    maxStagingBytes: parseBytesFlag("max-staging", flags.maxStaging ?? "10GiB"),
  });
}

async function restoreIfMissing(
  { path, replica }: ResolvedOptions,
  { restoreIfDbNotExists }: ReplicateFlags,
  logger: Logger,
): Promise<void> {
  if (restoreIfDbNotExists !== true) return;
  try {
    const { txid } = await restore({ replica, output: path });
    logger.log("info", "database.restored", { path, txid });
  } catch (error) {
    if (!hasCode(error, "replica/empty", "restore/output-exists")) throw error;
    logger.log("info", "database.not-restored", { path, why: error.message });
  }
}

/** Runs to the end; returns the exit code. */
async function run(
  options: ResolvedOptions,
  flags: ReplicateFlags,
  logger: Logger,
): Promise<number> {
  using signals = new StopSignals();
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
    return await runOnce(await starting, flags, signals);
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
  const exitCode = await command?.stop(signals.name ?? "SIGTERM");
  const engine = await finishStarting(starting, giveUp, options.path);
  if (engine !== undefined) await stopEngine(engine, signals);
  if (failure instanceof Error) throw failure;
  return exitCode ?? 0;
}

/** What is committed when we are told to stop is replicated even if the engine had only begun; nothing is waited for. */
async function finishStarting(
  starting: Promise<RunningEngine>,
  giveUp: AbortController,
  path: string,
): Promise<RunningEngine | undefined> {
  const hasDatabase = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
  const timer = setTimeout(() => giveUp.abort(), hasDatabase ? shutdownSyncMs : 0);
  try {
    return await starting;
  } catch {
    // Its failure, if it was one, has ended the wait before.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function runOnce(
  engine: RunningEngine,
  { forceSnapshot }: ReplicateFlags,
  { first: signal }: StopSignals,
): Promise<number> {
  try {
    if (forceSnapshot === true) await engine.snapshot({ signal });
  } finally {
    await engine.stop({ signal });
  }
  return 0;
}

async function stopEngine(engine: RunningEngine, signals: StopSignals): Promise<void> {
  const limit = AbortSignal.timeout(shutdownSyncMs);
  try {
    await engine.stop({ signal: AbortSignal.any([limit, signals.second]) });
  } catch (error) {
    if (!limit.aborted && !signals.second.aborted) throw error;
    throw new HeadwaterError(
      "engine/stopped",
      `The last upload was given up ${limit.aborted ? `after ${shutdownSyncMs / 1000} s` : "at a second signal"}. ` +
        "Nothing is lost: staged files stay in the state directory and go up at the next start.",
      { cause: error },
    );
  }
}
