// The flags of every command that reads a configuration file, and where that file is found.
import type { Command } from "commander";
import { configPlaces, defaultConfigPath } from "../engine/config/config-places.ts";
import type { Config, ReadConfigOptions } from "../engine/config/config.ts";
import type { CliContext } from "./command.ts";
import { usage } from "./values.ts";

export interface ConfigFlags {
  readonly config?: string;
  /** False with `-no-expand-env`. */
  readonly expandEnv?: boolean;
  readonly lenient?: boolean;
}

/** Adds `-config`, `-no-expand-env` and `-lenient`. */
export function addConfigFlags(command: Command): Command {
  return command
    .option("--config <path>", `configuration file; default: the first of ${configPlaces}`)
    .option("--no-expand-env", "do not replace $NAME in the configuration file")
    .option("--lenient", "unknown keys in the configuration file are warnings");
}

/** The file that was named, or the one of this machine; `undefined` if there is neither. */
export async function findConfig(
  flags: ConfigFlags,
  context: CliContext,
): Promise<Config | undefined> {
  const path = flags.config ?? defaultConfigPath(context.environment);
  if (path === undefined) return undefined;
  const { readConfig } = await import("../engine/config/config.ts");
  return readConfig(path, configOptionsOf(flags, context));
}

/** How the flags want a file read. */
export function configOptionsOf(
  { expandEnv, lenient }: ConfigFlags,
  { environment }: CliContext,
): ReadConfigOptions {
  return { environment, expandEnv, lenient };
}

/** As `findConfig`; throws `usage/invalid`, beginning with `needed`, if there is no file. */
export async function needConfig(
  flags: ConfigFlags,
  context: CliContext,
  needed: string,
): Promise<Config> {
  const config = await findConfig(flags, context);
  if (config !== undefined) return config;
  throw usage(
    `${needed} There is no configuration file in ${configPlaces}: name one with -config.`,
  );
}

/** Throws `usage/invalid` if a configuration file was named in vain, because `instead` says it all. */
export function refuseConfig(flags: ConfigFlags, instead: string): void {
  if (flags.config !== undefined)
    throw usage(`-config and ${instead} exclude each other. Leave one of them out.`);
}
