// `headwater replicate` without arguments: every database of the configuration file, in this one process.
import { mapConcurrent } from "../../core/base/async.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import type { Config } from "../engine/config/config.ts";
import { Fleet } from "../engine/fleet.ts";
import type { FleetFailure } from "../engine/fleet-database.ts";
import type { FleetMember } from "../engine/fleet-run.ts";
import { checkPlatform } from "../engine/platform.ts";
import { shutdownSyncMs, startEngine } from "../engine/running-engine.ts";
import { startShutdownLimit } from "../engine/shutdown.ts";
import type { CliContext } from "./command.ts";
import { needConfig } from "./config-flags.ts";
import { toFleetMember } from "./fleet-member.ts";
import { createLineLogger } from "./line-logger.ts";
import { finishOnce, logLevelOf } from "./replicate-steps.ts";
import type { ReplicateFlags } from "./replicate-steps.ts";
import { StopSignals } from "./signals.ts";
import { startCommand } from "./supervise.ts";
import { usage } from "./values.ts";

/** Databases that are restored, or replicated by `-once`, at the same time. */
const atOnce = 4;

/** Replicates until SIGINT or SIGTERM, until the command ends, or once. Returns the exit code. */
export async function replicateFromConfig(
  context: CliContext,
  flags: ReplicateFlags,
): Promise<number> {
  for (const name of ["syncInterval", "stateDir", "maxWalSize", "maxStaging"] as const) {
    if (flags[name] === undefined) continue;
    const key = name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
    throw usage(`-${key} goes with one database. In a configuration file, set the key ${key}.`);
  }
  const config = await needConfig(
    flags,
    context,
    "replicate needs a database and the URL of a replica, or a configuration file.",
  );
  const logger = loggerOf(config, flags, context);
  for (const { message } of config.warnings) logger.log("warn", "config.remark", { message });
  checkDatabases(config);
  checkPlatform(logger);
  const members = config.databases.map((database) => toFleetMember(database, flags, logger));
  using signals = new StopSignals();
  if (flags.once === true && config.exec !== undefined) {
    logger.log("warn", "config.remark", { message: "exec is not run with -once." });
  }
  if (flags.once === true) return await runOnce(members, { logger, flags, signals });
  return await run(members, config, { logger, flags, signals });
}

interface Run {
  readonly logger: Logger;
  readonly flags: ReplicateFlags;
  readonly signals: StopSignals;
}

function loggerOf({ logging }: Config, flags: ReplicateFlags, context: CliContext): Logger {
  const { environment, print, inform } = context;
  const level = logLevelOf(flags, environment, logging.level);
  return createLineLogger(logging.stderr ? inform : print, {
    level,
    json: logging.type === "json",
  });
}

function checkDatabases({ path, databases, emptyDirectories }: Config): void {
  if (emptyDirectories.length > 0) {
    throw usage(
      `${path}: there is no database in ${emptyDirectories.join(", ")} that fits the pattern. Databases are found ` +
        "at the start in this version: make one first, or leave the directory out.",
    );
  }
  if (databases.length === 0) throw usage(`${path} lists no database: there is nothing under dbs.`);
}

async function run(
  members: readonly FleetMember[],
  { exec, shutdownSyncTimeoutMs = shutdownSyncMs }: Config,
  { logger, flags, signals }: Run,
): Promise<number> {
  const line = flags.exec ?? exec;
  if (line !== undefined) {
    // The command would make an empty database where one could not be restored.
    const failures = await eachAtOnce(members, ({ prepare }) => prepare({ signal: signals.first }));
    signals.first.throwIfAborted();
    throwFailures("The command was not started: its databases could not be restored.", failures);
  }
  await using command = line === undefined ? undefined : startCommand(line);
  const fleet = new Fleet({ logger, clock: systemClock, random: systemRandom });
  for (const member of members) fleet.add(member);
  const failure = await Promise.race([
    signals.received(),
    ...(command === undefined ? [] : [command.exited]),
  ]).then(
    () => undefined,
    (error: unknown) => error,
  );
  const exitCode = await command?.stop(signals.name ?? "SIGTERM").catch(() => 1);
  const failures = await fleet.stop(startShutdownLimit(shutdownSyncTimeoutMs, signals.second));
  if (failure instanceof Error) throw failure;
  throwFailures("Not everything is in its replica.", failures);
  return exitCode ?? 0;
}

async function runOnce(
  members: readonly FleetMember[],
  { logger, flags, signals }: Run,
): Promise<number> {
  const { first: signal } = signals;
  const failures = await eachAtOnce(members, async ({ options, prepare }) => {
    await prepare({ signal });
    const engine = await startEngine(options, { logger, once: true }, { signal });
    await finishOnce(engine, flags, signals);
  });
  throwFailures("Not every database was replicated.", failures);
  return 0;
}

/** Does `work` for all, whatever becomes of the others. */
async function eachAtOnce(
  members: readonly FleetMember[],
  work: (member: FleetMember) => Promise<void>,
): Promise<readonly FleetFailure[]> {
  const results = await mapConcurrent(members, atOnce, async (member) => {
    try {
      await work(member);
      return undefined;
    } catch (error) {
      return { path: member.options.path, error };
    }
  });
  return results.filter((result) => result !== undefined);
}

/** Throws one error that names every database that failed. */
function throwFailures(summary: string, failures: readonly FleetFailure[]): void {
  if (failures.length === 0) return;
  const lines = failures.map(({ path, error }) => `  ${path}: ${messageOf(error)}`);
  throw new HeadwaterError("engine/fleet", [summary, ...lines].join("\n"), {
    data: { paths: failures.map(({ path }) => path) },
    cause: failures[0]?.error,
  });
}
