// What `headwater doctor` is to examine: from its argument to databases and replicas.
import { pathToFileURL } from "node:url";
import { hasCode } from "../../core/base/errors.ts";
import { localPath } from "../base/local-path.ts";
import type { Patient, ReportOn } from "../doctor/examine.ts";
import { counted, failedCheck } from "../doctor/report.ts";
import type { Report } from "../doctor/report.ts";
import { defaultConfigPath } from "../engine/config/config-places.ts";
import type { Config } from "../engine/config/config.ts";
import { resolveOptions } from "../engine/engine-options.ts";
import type { ReplicateOptions } from "../engine/engine-options.ts";
import type { CliContext } from "./command.ts";
import { needConfig, refuseConfig } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { isDirectory, isReplicaUrl, listedDatabase, recordedReplicas } from "./sources.ts";

interface PatientOptions {
  readonly flags: ConfigFlags;
  readonly context: CliContext;
  readonly reportOn: ReportOn;
}

/** A configuration file with a mistake is reported as a problem, and nothing of it examined. Throws `usage/invalid`. */
export async function findPatients(
  source: string | undefined,
  options: PatientOptions,
): Promise<readonly Patient[]> {
  const { flags } = options;
  if (source === undefined) return patientsOfConfig(options);
  if (isReplicaUrl(source)) {
    refuseConfig(flags, "the URL of a replica");
    return [{ replicas: [{ url: source }] }];
  }
  const path = localPath(source);
  if (/\.ya?ml$/iu.test(source)) {
    refuseConfig(flags, "a configuration file as argument");
    return patientsOfConfig({ ...options, flags: { ...flags, config: path } });
  }
  if (flags.config === undefined && (await isDirectory(path)))
    return [{ replicas: [{ url: pathToFileURL(path).href }] }];
  return patientsOfDatabase(path, options);
}

async function patientsOfConfig(options: PatientOptions): Promise<readonly Patient[]> {
  const { flags, context, reportOn } = options;
  try {
    const config = await needConfig(
      flags,
      context,
      "doctor needs a URL, a path or a configuration file.",
    );
    reportConfig(config, reportOn({ kind: "configuration", name: config.path }));
    return config.databases.map((database) => toPatient(database.options, true));
  } catch (error) {
    if (!hasCode(error, "config/invalid")) throw error;
    const subject = {
      kind: "configuration",
      name: flags.config ?? defaultConfigPath(context.environment) ?? "",
    } as const;
    reportOn(subject)(failedCheck("configuration", error));
    return [];
  }
}

function reportConfig(config: Config, report: Report): void {
  const name = "configuration";
  for (const { message } of config.warnings) {
    const change = "Change the key, or take it out.";
    report({ name, result: "warning", found: message, change });
  }
  for (const directory of config.emptyDirectories) {
    const found = `there is no database in ${directory} that fits the pattern`;
    const change =
      "Check dir and pattern, or have the directory watched: watch: true. As it is headwater replicate refuses to start.";
    report({ name, result: "problem", found, change });
  }
  const { databases, emptyDirectories, watchedDirectories } = config;
  const found = `lists ${counted(databases.length, "database")}`;
  if (databases.length + emptyDirectories.length + watchedDirectories.length > 0) {
    report({ name, result: "ok", found });
    return;
  }
  const change = "List databases under dbs; as it is headwater replicate refuses to start.";
  report({ name, result: "problem", found, change });
}

/** The database with the replicas that the configuration file or its state directory names; there may be none. */
async function patientsOfDatabase(
  path: string,
  { flags, context }: PatientOptions,
): Promise<readonly Patient[]> {
  const listed = await listedDatabase(path, flags, context);
  if (listed !== undefined) return [toPatient(listed.options, false)];
  const replicas = (await knownReplicas(path)).map((url) => ({ url }));
  const { database } = toPatient({ path, replica: "unknown" }, false);
  return [{ database, replicas }];
}

async function knownReplicas(path: string): Promise<readonly string[]> {
  try {
    return await recordedReplicas(path);
  } catch (error) {
    // The check of the state directory reports it.
    if (hasCode(error, "engine/state")) return [];
    throw error;
  }
}

function toPatient(options: ReplicateOptions, mayBeMissing: boolean): Required<Patient> {
  const { path, stateDir, metaPath, maxWalSizeBytes, maxStagingBytes, replicas } =
    resolveOptions(options);
  return {
    database: { path, stateDir, metaPath, maxWalSizeBytes, maxStagingBytes, mayBeMissing },
    replicas,
  };
}
