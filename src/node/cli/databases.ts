// `headwater databases`: what a configuration file lists.
import { Command } from "commander";
import type { CliContext } from "./command.ts";
import { databaseName } from "../engine/database-name.ts";
import { replicasOf } from "../engine/engine-options.ts";
import type { ReplicateOptions } from "../engine/engine-options.ts";
import { addConfigFlags, needConfig } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { formatJson, formatTable } from "./output.ts";
import { replicaKind } from "./sources.ts";

interface DatabasesFlags extends ConfigFlags {
  readonly json?: boolean;
}

/** Prints Litestream's fields: the path, and the kind of store of its replica; as JSON also the name for streams. */
export function databasesCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("databases")
      .description("List the databases of a configuration file.")
      .option("--json", "print JSON"),
  ).action(async (flags: DatabasesFlags) => {
    const { databases } = await needConfig(flags, context, "databases needs a configuration file.");
    const paths = databases.map(({ options }) => options.path);
    const records = databases.map(({ options }) => toRecord(options));
    const named = records.map((record) => ({ ...record, name: databaseName(record.path, paths) }));
    context.print(flags.json === true ? formatJson(named) : formatDatabases(records));
  });
}

interface DatabaseRecord {
  readonly path: string;
  /** With several: the kind of each. */
  readonly replica: string;
}

type Replicated = Pick<ReplicateOptions, "path" | "replica" | "secrets" | "replicas">;

function toRecord(options: Replicated): DatabaseRecord {
  const kinds = replicasOf(options).map(({ url }) => replicaKind(url));
  return { path: options.path, replica: kinds.join(",") };
}

function formatDatabases(records: readonly DatabaseRecord[]): string {
  return formatTable([["path", "replica"], ...records.map(({ path, replica }) => [path, replica])]);
}

/** The table of paths and kinds of stores. */
export function describeDatabases(databases: readonly Replicated[]): string {
  return formatDatabases(databases.map(toRecord));
}
