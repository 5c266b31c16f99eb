// `headwater ltx`: what is in a replica.
import { Command } from "commander";
import type { Logger } from "../../core/base/log.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import { type ReplicaFile, listLevel, listReplica } from "../../core/replica/catalog.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { systemClock } from "../base/clock.ts";
import { systemEnvironment } from "../restore/environment.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson, formatTable, formatTime } from "./output.ts";
import { abortOnSignals } from "./signals.ts";
import { type Source, resolveSource } from "./sources.ts";
import { parseChoiceFlag } from "./values.ts";

const levelChoices = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "all"] as const;

interface LtxFlags extends ConfigFlags {
  readonly level: string;
  readonly json?: boolean;
}

/** Lists the LTX files of one level, or of all. */
export function ltxCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("ltx")
      .description("List the LTX files of a replica.")
      .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
      .option("--level <n>", "level to list: 0 as captured, 9 full images, or all", "0")
      .option("--json", "print JSON"),
  ).action(async (named: string, flags: LtxFlags) => {
    const level = parseChoiceFlag("level", levelChoices, flags.level);
    using interruption = abortOnSignals();
    const { signal } = interruption;
    const source = await resolveSource(named, flags, context);
    const logger = createMessageLogger(context, systemClock);
    const files = await filesOf(source, level, { signal, logger });
    context.print(flags.json === true ? formatJson(files.map(toRecord)) : formatFiles(files));
  });
}

/** The files of a level, or of all. */
async function filesOf(
  { url, secrets }: Source,
  level: (typeof levelChoices)[number],
  { signal, logger }: { readonly signal: AbortSignal; readonly logger: Logger },
): Promise<readonly ReplicaFile[]> {
  await using store = await systemEnvironment(logger).openReplica(url, { signal, secrets });
  const layout = layoutForUrl(url);
  return level === "all"
    ? await listReplica(store, layout, { signal })
    : await listLevel(store, layout, Number(level), { signal });
}

/** The table of all files. */
export async function describeFiles(
  source: Source,
  options: { readonly signal: AbortSignal; readonly logger: Logger },
): Promise<string> {
  return formatFiles(await filesOf(source, "all", options));
}

function toRecord(file: ReplicaFile): unknown {
  return {
    level: file.level,
    min_txid: formatTxid(file.minTxid),
    max_txid: formatTxid(file.maxTxid),
    size: file.sizeBytes,
    timestamp: formatTime(file.timestampMs),
  };
}

function formatFiles(files: readonly ReplicaFile[]): string {
  const rows = files.map((file) => [
    String(file.level),
    formatTxid(file.minTxid),
    formatTxid(file.maxTxid),
    String(file.sizeBytes),
    formatTime(file.timestampMs),
  ]);
  return formatTable([["level", "min_txid", "max_txid", "size", "created"], ...rows]);
}
