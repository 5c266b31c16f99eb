// `headwater verify`: is everything in a replica sound, and does it prove itself.
import { Command } from "commander";
import { formatTxid } from "../../core/ltx/txid.ts";
import { systemClock } from "../base/clock.ts";
import type { Repair } from "../restore/repairs.ts";
import { type VerifyResult, verify } from "../restore/verify.ts";
import type { CliContext } from "./command.ts";
import { addConfigFlags } from "./config-flags.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { createMessageLogger } from "./messages.ts";
import { formatJson, formatTable } from "./output.ts";
import { Progress } from "./progress.ts";
import { abortOnSignals } from "./signals.ts";
import { type Source, replicaKind, resolveSource } from "./sources.ts";

interface VerifyFlags extends ConfigFlags {
  readonly json?: boolean;
}

/** Reads and judges every file of a replica; exit code 1 if one of them failed. */
export function verifyCommand(context: CliContext): Command {
  return addConfigFlags(
    new Command("verify")
      .description(
        "Check every file of a replica and prove that its files make the database captured.",
      )
      .argument("<source>", "URL of a replica, its directory, or path of a replicated database")
      .option("--json", "print JSON"),
  ).action(async (sourceText: string, flags: VerifyFlags) => {
    using interruption = abortOnSignals();
    const source = await resolveSource(sourceText, flags, context);
    const result = await runVerify(context, source, interruption.signal);
    context.print(flags.json === true ? formatJson(toRecord(source, result)) : describe(result));
    if (result.result === "failed") context.exitWith(1);
  });
}

async function runVerify(
  context: CliContext,
  { url, secrets }: Source,
  signal: AbortSignal,
): Promise<VerifyResult> {
  using progress = new Progress(context, systemClock);
  return await verify({
    replica: url,
    secrets,
    signal,
    logger: createMessageLogger(context, systemClock),
    onProgress: (step) => {
      progress.update({ label: `verifying ${url.replace(/[?].*$/u, "")}`, ...step });
    },
  });
}

function toRecord(
  { url }: Source,
  { result, txid, files, holes, overlaps, repairs }: VerifyResult,
): unknown {
  return {
    replica: replicaKind(url),
    result,
    txid: formatTxid(txid),
    files: files.map(({ file, result: fileResult, problem, pages }) => ({
      level: file.level,
      min_txid: formatTxid(file.minTxid),
      max_txid: formatTxid(file.maxTxid),
      size: file.sizeBytes,
      name: file.key,
      result: fileResult,
      problem,
      pages,
    })),
    holes: holes.map(({ from, to }) => ({ min_txid: formatTxid(from), max_txid: formatTxid(to) })),
    overlaps: overlaps.map(({ key }) => key),
    repairs: repairs.map(({ level, from, to, damaged, sources }) => ({
      level,
      min_txid: formatTxid(from),
      max_txid: formatTxid(to),
      problem: damaged === undefined ? "missing" : "damaged",
      repairable: sources !== undefined,
      sources: sources?.map(({ key }) => key) ?? [],
    })),
  };
}

const meaning = {
  proved: "every file is intact and makes exactly the database that was captured",
  linked: "every file is intact, and where files before them are gone their headers agree",
  unproved: "every file is intact; those of Litestream carry no proof of what was captured",
  failed: "the replica is damaged; what can be restored is in headwater restore -dry-run",
} as const;

function describe({ result, txid, files, holes, overlaps, repairs }: VerifyResult): string {
  const counts = new Map<string, number>();
  for (const { result: one } of files) counts.set(one, (counts.get(one) ?? 0) + 1);
  const rows = [...counts].map(([name, count]) => [name, String(count)]);
  const problems = files
    .filter(({ problem }) => problem !== undefined)
    .map(({ file, problem, pages }) => {
      const named = pages === undefined ? "" : ` Pages: ${pages.join(", ")}.`;
      return `${file.key}: ${problem ?? ""}${named}\n`;
    });
  const missing = holes.map(
    ({ from, to }) => `TXID ${formatTxid(from)} to ${formatTxid(to)}: no sound file covers them.\n`,
  );
  const doubled =
    overlaps.length === 0 ? "" : `${overlaps.length} files overlap others of their level.\n`;
  const verdict = `${result}: ${meaning[result]} (TXID ${formatTxid(txid)}, ${files.length} files).\n`;
  const remedies = repairs.map(describeRepair);
  return [...problems, ...missing, ...remedies, formatTable(rows), doubled, verdict].join("");
}

function describeRepair({ level, from, to, damaged, sources }: Repair): string {
  const what = `Level ${level}, TXID ${formatTxid(from)} to ${formatTxid(to)}`;
  const state = damaged === undefined ? "is missing" : "is damaged";
  if (sources === undefined) {
    return `${what}, ${state}, and no other files hold it: the restore points in it are lost.\n`;
  }
  const levels = [...new Set(sources.map((file) => file.level))].toSorted((a, b) => a - b);
  return (
    `${what}, ${state} and can be made anew from ${sources.length} files of level ${levels.join(", ")}. ` +
    "headwater replicate does so when it meets the damage.\n"
  );
}
