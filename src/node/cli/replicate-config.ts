// `headwater replicate` without arguments: every database of the configuration file, in this one process.
import { mapConcurrent } from "../../core/base/async.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { packageVersion } from "../base/package-version.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { readConfig } from "../engine/config/config.ts";
import type { Config } from "../engine/config/config.ts";
import type { DatabaseConfig } from "../engine/config/database-config.ts";
import { type CostOptions, costFields, expectedCosts, totalCost } from "../engine/expected-cost.ts";
import { Fleet } from "../engine/fleet.ts";
import { FleetKeeper } from "../engine/fleet-keeper.ts";
import type { FleetDatabase, FleetFailure } from "../engine/fleet-database.ts";
import type { FleetMember } from "../engine/fleet-environment.ts";
import { checkPlatform } from "../engine/platform.ts";
import { shutdownSyncMs, startEngine } from "../engine/running-engine.ts";
import { startShutdownLimit } from "../engine/shutdown.ts";
import type { ShutdownLimit } from "../engine/shutdown.ts";
import type { CliContext } from "./command.ts";
import { configOptionsOf, needConfig } from "./config-flags.ts";
import { startControl } from "./control-services.ts";
import { toFleetMember } from "./fleet-member.ts";
import { createLineLogger } from "./line-logger.ts";
import { finishOnce, logLevelOf } from "./replicate-steps.ts";
import type { ReplicateFlags } from "./replicate-steps.ts";
import { StopSignals, onHangUp } from "./signals.ts";
import { startCommand } from "./supervise.ts";
import { usage } from "./values.ts";

/** Databases that are restored, or replicated by `-once`, at the same time. */
const atOnce = 4;

/** What a configuration file says for each database. */
const flagsOfOne = [
  "syncInterval",
  "maxCost",
  "maxPutsPerMonth",
  "stateDir",
  "maxWalSize",
  "maxStaging",
  "verifyInterval",
  "verifyRestoreInterval",
  "manifest",
] as const;

/** Replicates until SIGINT or SIGTERM, until the command ends, or once. Returns the exit code. */
export async function replicateFromConfig(
  context: CliContext,
  flags: ReplicateFlags,
): Promise<number> {
  for (const name of flagsOfOne) {
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
  logger.log("info", "headwater.started", {
    version: await packageVersion(),
    pid: process.pid,
    config: config.path,
    databases: config.databases.length,
  });
  checkPlatform(logger);
  const members = new Map(
    config.databases.map((database) => [database, toFleetMember(database, flags, logger)]),
  );
  const isPushed = flags.once !== true && config.monitor.push !== undefined;
  logTotal([...members.values()], { logger, environment: context.environment, isPushed });
  using signals = new StopSignals();
  if (flags.once === true && config.exec !== undefined) {
    logger.log("warn", "config.remark", { message: "exec is not run with -once." });
  }
  if (flags.once === true)
    return await runOnce([...members.values()], { context, logger, flags, signals });
  const again = (isOpen: (path: string) => boolean): Config =>
    readConfig(config.path, { ...configOptionsOf(flags, context), isOpen });
  return await run(config, members, again, { context, logger, flags, signals });
}

interface Run {
  readonly context: CliContext;
  readonly logger: Logger;
  readonly flags: ReplicateFlags;
  readonly signals: StopSignals;
}

function loggerOf({ logging }: Config, flags: ReplicateFlags, context: CliContext): Logger {
  const { environment, print, inform } = context;
  const level = logLevelOf(flags, environment, logging.level);
  return createLineLogger(logging.stderr ? inform : print, {
    level,
    type: logging.type,
    isTerminal: (logging.stderr ? process.stderr : process.stdout).isTTY,
  });
}

function checkDatabases(config: Config): void {
  const { path, databases, emptyDirectories, watchedDirectories, socket } = config;
  if (emptyDirectories.length > 0) {
    throw usage(
      `${path}: there is no database in ${emptyDirectories.join(", ")} that fits the pattern. Make one first, or have ` +
        "the directory watched: watch: true.",
    );
  }
  const mayCome = watchedDirectories.length > 0 || socket.isEnabled;
  if (databases.length === 0 && !mayCome)
    throw usage(`${path} lists no database: there is nothing under dbs.`);
}

/** What all of them are expected to cost together. Each tells its own part when it starts. */
function logTotal(
  members: readonly FleetMember[],
  {
    logger,
    environment,
    isPushed,
  }: Pick<CliContext, "environment"> & CostOptions & { readonly logger: Logger },
): void {
  if (members.length < 2) return;
  const costs = members.flatMap(({ options }) => expectedCosts(options, environment, { isPushed }));
  const total = totalCost(costs);
  logger.log("info", "budget.total", { databases: members.length, ...costFields(total) });
}

async function run(
  config: Config,
  members: ReadonlyMap<DatabaseConfig, FleetMember>,
  readAgain: (isOpen: (path: string) => boolean) => Config,
  { context, logger, flags, signals }: Run,
): Promise<number> {
  const { exec, hibernateAfterMs, shutdownSyncTimeoutMs = shutdownSyncMs } = config;
  const line = flags.exec ?? exec;
  if (line !== undefined) {
    // The command would make an empty database where one could not be restored.
    const failures = await eachAtOnce([...members.values()], ({ prepare }) =>
      prepare({ signal: signals.first }),
    );
    signals.first.throwIfAborted();
    throwFailures("The command was not started: its databases could not be restored.", failures);
  }
  await using command = line === undefined ? undefined : startCommand(line);
  const patients = (): readonly FleetDatabase[] => fleet.databases;
  const { createMetrics, startMonitor } = await import("./monitor-services.ts");
  const metrics = createMetrics(config.monitor, patients);
  const counted = metrics.counting(logger);
  const fleet = new Fleet({
    logger: counted,
    isPushed: config.monitor.push !== undefined,
    clock: systemClock,
    random: systemRandom,
    hibernateAfterMs,
  });
  const startLimit = (): ShutdownLimit => startShutdownLimit(shutdownSyncTimeoutMs, signals.second);
  const toMember = (database: DatabaseConfig): FleetMember =>
    members.get(database) ?? toFleetMember(database, flags, logger);
  const keeper = new FleetKeeper(config, {
    fleet,
    toMember,
    readConfig: readAgain,
    startLimit,
    logger,
    clock: systemClock,
  });
  const hangUp = onHangUp(() => keeper.reload());
  await using services = new AsyncDisposableStack();
  const memberFor = (path: string, url: string): FleetMember =>
    toMember(keeper.config.register(path, url));
  const databases = patients;
  const watched = { metrics, patients, databases, logger: counted };
  services.use(await startMonitor(config.monitor, watched));
  services.use(await startControl(config, { fleet, memberFor, logger, context }));
  const failure = await Promise.race([
    signals.received(),
    ...(command === undefined ? [] : [command.exited]),
  ]).then(
    () => undefined,
    (error: unknown) => error,
  );
  const exitCode = await command?.stop(signals.name ?? "SIGTERM").catch(() => 1);
  await services.disposeAsync();
  hangUp[Symbol.dispose]();
  const limit = startLimit();
  // What the command has written is uploaded, although it was quicker than our start.
  if (command !== undefined) {
    await fleet.settled({ signal: AbortSignal.any([limit.signal, signals.first]) });
  }
  const [failures] = await Promise.all([fleet.stop(limit), keeper[Symbol.asyncDispose]()]);
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
