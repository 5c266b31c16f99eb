// `headwater restore -all`: every database of the configuration file as it was at one moment, fixed at the start. So no
// database is newer than that moment, and none is older than it needs to be.
import { dirname, join, relative } from "node:path";
import { hasCode } from "../../core/base/errors.ts";
import { mapConcurrent } from "../../core/base/async.ts";
import { systemClock } from "../base/clock.ts";
import { localPath } from "../base/local-path.ts";
import type { Config } from "../engine/config/config.ts";
import type { Environment } from "../restore/environment.ts";
import { systemEnvironment } from "../restore/environment.ts";
import { type RestoreAllOptions, type RestoreRequest, restoreAll } from "../restore/restore-all.ts";
import { restoreDefaults } from "../restore/restore.ts";
import { planFromStore } from "../restore/target.ts";
import { replicasOf } from "../engine/engine-options.ts";
import type { CliContext } from "./command.ts";
import { newestReplica } from "./newest-replica.ts";
import { allDatabases } from "./config-databases.ts";
import { needConfig } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson } from "./output.ts";
import { Progress } from "./progress.ts";
import { type AllReport, describeAll, describePlans, toAllRecord } from "./restore-all-report.ts";
import { toPlanRecord, toResultRecord } from "./restore-report.ts";
import type { RestoreFlagOptions, RestoreFlags } from "./restore.ts";
import { replicaKind } from "./sources.ts";
import { usage } from "./values.ts";

/** Replicas that are listed at once for a plan. */
const plansAtOnce = 8;

/** Runs the command; exit code 1 if some could not be restored. */
export async function restoreEverything(
  context: CliContext,
  flags: RestoreFlags,
  flagOptions: RestoreFlagOptions,
  signal: AbortSignal,
): Promise<void> {
  for (const name of ["txid", "generation", "index"] as const) {
    if (flags[name] !== undefined) {
      throw usage(
        `-${name} goes with one database. With -all, give -timestamp, or nothing for now.`,
      );
    }
  }
  const timestamp = flagOptions.timestamp ?? new Date(systemClock.nowMs());
  const config = await needConfig(flags, context, "restore -all needs a configuration file.");
  for (const { message } of config.warnings) context.inform(`Warning: ${message}\n`);
  const environment = systemEnvironment(createMessageLogger(context, systemClock));
  const { requests, existing } = await requestsOf(config, environment, flags, signal);
  const options: RestoreAllOptions = {
    timestamp,
    force: flagOptions.force === true,
    integrityCheck: flagOptions.integrityCheck ?? restoreDefaults.integrityCheck,
    parallelism: flagOptions.parallelism ?? restoreDefaults.parallelism,
    partial: flags.partial === true,
    skipEmpty: flags.ifReplicaExists === true,
    signal,
  };
  const report: AllReport =
    flags.dryRun === true
      ? { timestamp, existing, ...(await planAll(environment, requests, options)) }
      : { timestamp, existing, ...(await runRestore(context, environment, requests, options)) };
  const isPlan = flags.dryRun === true;
  if (flags.json === true) context.print(formatJson(toAllRecord(report)));
  else context.print(isPlan ? describePlans(report) : describeAll(report));
  const newer = report.databases.filter(({ point }) => point.chosen?.next !== undefined).length;
  if (flagOptions.timestamp === undefined && newer > 0) {
    context.inform(
      `Warning: ${newer} have newer states: written meanwhile, or this machine's clock is slow. -timestamp takes them.\n`,
    );
  }
  if (report.failed.length > 0) context.exitWith(1);
}

/** What to restore to where; what is left alone because it exists. */
async function requestsOf(
  config: Config,
  environment: Environment,
  { output, ifDbNotExists }: RestoreFlags,
  signal: AbortSignal,
): Promise<{ readonly requests: readonly RestoreRequest[]; readonly existing: readonly string[] }> {
  const databases = await allDatabases(config, environment, { signal });
  if (databases.length === 0) {
    throw usage(
      `${config.path} lists no database, and none is in the replicas of its directories.`,
    );
  }
  const target = output === undefined ? undefined : localPath(output);
  const base = commonDirectory([
    ...config.directories.map(({ directory }) => directory),
    ...databases.map(({ options: { path } }) => dirname(path)),
  ]);
  const requests: RestoreRequest[] = [];
  const existing: string[] = [];
  for (const { options } of databases) {
    const { path } = options;
    const place = target === undefined ? path : join(target, relative(base, path));
    const isThere =
      ifDbNotExists === true && (await environment.fileSystem.status(place)) !== undefined;
    if (isThere) {
      existing.push(place);
      continue;
    }
    const { logger } = environment;
    const replicas = replicasOf(options);
    const { url: replica, secrets } = await newestReplica({ path, replicas }, { logger, signal });
    requests.push({ replica, secrets, output: place });
  }
  return { requests, existing };
}

/** The deepest directory that all of these lie in, or are. */
function commonDirectory(directories: readonly string[]): string {
  const [first = "/", ...others] = directories;
  let common = first;
  for (const directory of others) {
    while (!`${directory}/`.startsWith(common === "/" ? "/" : `${common}/`)) {
      common = dirname(common);
    }
  }
  return common;
}

type Outcome = Omit<AllReport, "timestamp" | "existing">;

async function runRestore(
  context: CliContext,
  environment: Environment,
  requests: readonly RestoreRequest[],
  options: RestoreAllOptions,
): Promise<Outcome> {
  using progress = new Progress(context, systemClock);
  const { restored, withoutBackup, failed } = await restoreAll(environment, requests, {
    ...options,
    onProgress: (step) =>
      progress.update({ label: `restoring ${requests.length} databases`, ...step }),
  });
  return {
    withoutBackup,
    failed,
    databases: restored.map(({ request, result }) => {
      const { replica, output } = request;
      const names = { db_path: output, replica: replicaKind(replica) };
      const { txid, generation, chosen, sizeBytes, proof } = result;
      const point = { txid, generation, chosen };
      return { request, point, sizeBytes, proof, record: toResultRecord(names, result) };
    }),
  };
}

/** What would be restored. */
async function planAll(
  environment: Environment,
  requests: readonly RestoreRequest[],
  { timestamp, skipEmpty, signal }: RestoreAllOptions,
): Promise<Outcome> {
  const databases: Outcome["databases"][number][] = [];
  const withoutBackup: RestoreRequest[] = [];
  const failed: Outcome["failed"][number][] = [];
  await mapConcurrent(requests, plansAtOnce, async (request) => {
    const { replica, secrets, output } = request;
    try {
      await using store = await environment.openReplica(replica, { signal, secrets });
      const plan = await planFromStore(store, { timestamp }, { signal });
      const names = { source: output, target_path: output, replica: replicaKind(replica) };
      const last = plan.kind === "ltx" ? plan.files.at(-1) : undefined;
      const generation = plan.kind === "generation" ? plan.files.at(-1) : undefined;
      databases.push({
        request,
        point: { txid: last?.maxTxid, generation, chosen: plan.chosen },
        sizeBytes: plan.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        proof: undefined,
        record: toPlanRecord(names, plan),
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (skipEmpty && hasCode(error, "replica/empty")) withoutBackup.push(request);
      else failed.push({ request, error });
    }
  });
  const order = (one: { readonly request: RestoreRequest }): number =>
    requests.indexOf(one.request);
  return {
    databases: databases.toSorted((a, b) => order(a) - order(b)),
    withoutBackup,
    failed: failed.toSorted((a, b) => order(a) - order(b)),
  };
}
