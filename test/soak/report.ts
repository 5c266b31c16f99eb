// The outcome of a soak, as a table and as JSON.
import { printTable } from "../../bench/support/table.ts";
import type { Costs } from "./measure.ts";
import type { Proofs } from "./prover.ts";

export interface SoakReport {
  readonly seed: number;
  readonly seconds: number;
  /** What and where; empty = passed. */
  readonly failures: readonly string[];
  /** Kept after a failure: databases, state directories, log, and a copy of the bucket. */
  readonly directory?: string | undefined;
  readonly commits: number;
  readonly acknowledged: number;
  readonly proofs: Proofs;
  /** What was done to Headwater, by kind. */
  readonly events: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
  readonly costs: Costs;
  /** LTX files in the bucket at the end. */
  readonly files: number;
  /** Lines of the metrics at the end; 0 = this version serves none. */
  readonly metrics: number;
  /** Of Headwater's log, by event. */
  readonly warnings: Readonly<Record<string, number>>;
}

/** Prints it for people. */
export function printReport(report: SoakReport): void {
  const { proofs, costs, seconds } = report;
  const restores = proofs.txids + proofs.times + proofs.newest;
  printTable([
    ["what", "how much"],
    ["time", `${seconds.toFixed(0)} s`],
    ["commits", String(report.commits)],
    ["syncs acknowledged", String(report.acknowledged)],
    ["restores proved", String(restores)],
    ["- of a TXID", String(proofs.txids)],
    ["- of a time", String(proofs.times)],
    ["- of the newest", String(proofs.newest)],
    ["- byte for byte", String(proofs.exact)],
    ["moments that retention took first", String(proofs.gone)],
    ["replicas verified", String(proofs.verified)],
    ["- thinned by retention", String(proofs.thinned)],
    ["files in the bucket at the end", String(report.files)],
    ["memory of Headwater, most", megabytes(costs.peakResidentBytes)],
    ["processor time of Headwater", `${costs.processorSeconds.toFixed(1)} s`],
    ["- share of one core", `${((100 * costs.processorSeconds) / seconds).toFixed(1)} %`],
    ["largest WAL", megabytes(costs.largestWalBytes)],
    ["lines of metrics", String(report.metrics)],
    ...rowsOf("requests: ", report.requests),
    ...rowsOf("", report.events),
    ...rowsOf("log: ", report.warnings),
  ]);
  for (const failure of report.failures) console.log(`\nFAILED: ${failure}`);
  if (report.directory !== undefined) console.log(`\nEverything is kept in ${report.directory}`);
  console.log(
    `\n${report.failures.length === 0 ? "Passed" : "Failed"}. HEADWATER_SEED=${report.seed}`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function rowsOf(prefix: string, counts: Readonly<Record<string, number>>): readonly string[][] {
  return Object.entries(counts)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => [prefix + name, String(count)]);
}
