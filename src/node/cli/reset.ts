// `headwater reset`: a database starts anew, as if Headwater had never seen it.
import { furthestBehind } from "../engine/state-summary.ts";
import { Command } from "commander";
import { systemRandom } from "../base/clock.ts";
import { localPath } from "../base/local-path.ts";
import { formatBytes } from "../base/quantities.ts";
import { resetState } from "../engine/reset-state.ts";
import type { ResetReport } from "../engine/reset-state.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags, findConfig } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";

interface ResetFlags extends ConfigFlags {
  readonly stateDir?: string;
  readonly dryRun?: boolean;
}

/** Deletes the local state, never the replica. */
export function resetCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("reset")
      .description(
        "Delete the local state of a database. Neither the database nor its replica is touched; the next start compares " +
          "the two, or sends a full image.",
      )
      .argument("<database>", "path of the database")
      .option("--state-dir <path>", "local state; default: .<name>-headwater beside the database")
      .option("--dry-run", "only say what would be deleted"),
  ).action(async (database: string, flags: ResetFlags) => {
    const path = localPath(database);
    const stateDir =
      flags.stateDir === undefined
        ? (await findConfig(flags, context))?.databaseAt(path)?.options.stateDir
        : localPath(flags.stateDir);
    context.print(await resetDatabase(path, stateDir, { dryRun: flags.dryRun === true }));
  });
}

/** Returns what was done, or would be, in words. Throws `engine/locked`. */
export async function resetDatabase(
  path: string,
  stateDir: string | undefined,
  { dryRun }: { readonly dryRun: boolean },
): Promise<string> {
  const tools = { fileSystem: nodeFileSystem, random: systemRandom };
  return describe(path, await resetState({ path, stateDir, dryRun, ...tools }), dryRun);
}

function describe(path: string, report: ResetReport, dryRun: boolean): string {
  const { stateDirectory, entries, sizeBytes, state } = report;
  if (entries.length === 0) return `There is no local state of ${path} in ${stateDirectory}.\n`;
  const lines = [
    `${dryRun ? "Would delete" : "Deleted"} the local state of ${path}, ${formatBytes(sizeBytes)} in ${stateDirectory}:`,
    ...entries.map((name) => `  ${name}`),
  ];
  const { localTxid, replicas = [] } = state ?? {};
  const replicatedTxid = furthestBehind(replicas)?.txid;
  if (localTxid !== undefined && localTxid > (replicatedTxid ?? "")) {
    lines.push(
      `TXID ${localTxid} is not in the replica yet. What was committed is in the database, and goes up at the next ` +
        "start; restore points in between are lost.",
    );
  }
  lines.push(
    "The replica stays. The next start compares the database with it and sends what differs, or a full image.",
  );
  return lines.map((line) => `${line}\n`).join("");
}
