// Flags of Litestream that this version knows but does not serve: they are refused by name, because a flag that is
// silently ignored is worse than an error.
import { type Command, Option } from "commander";
import { usage } from "./values.ts";

/** Adds `-config` and `-no-expand-env`, hidden. */
export function addConfigFlags(command: Command): Command {
  return command
    .addOption(new Option("--config <path>").hideHelp())
    .addOption(new Option("--no-expand-env").hideHelp());
}

/** Throws `usage/invalid` if one of them was given. */
export function rejectConfigFlags(flags: object): void {
  if ("config" in flags && flags.config !== undefined) {
    throw usage("-config is not supported by this version. Give the URL of the replica instead.");
  }
  if ("expandEnv" in flags && flags.expandEnv === false) {
    throw usage("-no-expand-env is not supported by this version: there is no configuration file.");
  }
}
