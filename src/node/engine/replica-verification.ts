// Verification of one replica: its new files are proved, and a restore from it is compared with the source. What is found is
// logged once, and healed.
import { unreachable } from "../../core/base/assert.ts";
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { VerificationStatus } from "./engine-status.ts";
import { heavyJobs } from "./heavy-jobs.ts";
import type { ReplicaParts } from "./parts.ts";
import { healReplica } from "./replica-healing.ts";
import type { HealingHooks } from "./replica-healing.ts";
import type { ReplicaLink } from "./replica-link.ts";
import { ReplicaProof, isLocal } from "./replica-proof.ts";
import type { ProofReport, ReplicaFault } from "./replica-proof.ts";
import { compareRestore } from "./restore-comparison.ts";
import type { ComparisonHooks } from "./restore-comparison.ts";
import { heal } from "./scheduled-scrub.ts";
import type { Waiting } from "./waiting.ts";

export interface ReplicaVerificationHooks extends HealingHooks, ComparisonHooks {}

/** What a verification found, and the newest TXID it speaks for. */
export interface Outcome {
  readonly result: VerificationStatus["result"];
  readonly txid: bigint;
  /** With `failed`: what is wrong. */
  readonly problem?: string | undefined;
  /** Pages of the source that were not as they had been captured. */
  readonly divergedPages?: number | undefined;
}

export class ReplicaVerification {
  readonly #parts: ReplicaParts;
  readonly #link: ReplicaLink;
  readonly #hooks: ReplicaVerificationHooks;
  readonly #proof: ReplicaProof;
  /** Files that had been put when the replica was last proved. */
  #provedPuts = 0;
  /** Something was wrong the last time, perhaps before this process. */
  #isInDoubt = false;
  #faults: readonly ReplicaFault[] = [];
  /** Faults that have been logged, by kind, file and version. */
  #reported: ReadonlySet<string> = new Set();

  constructor(parts: ReplicaParts, link: ReplicaLink, hooks: ReplicaVerificationHooks) {
    this.#parts = parts;
    this.#link = link;
    this.#hooks = hooks;
    this.#proof = new ReplicaProof(link, parts.codec);
  }

  /** Files that are missing or damaged now. */
  get faultyFiles(): number {
    return this.#faults.length;
  }

  /** The replica is to be looked at, although nothing new may have been put. */
  doubt(): void {
    this.#isInDoubt = true;
  }

  /** Proves what is new. Asks the store nothing if no file was put, and none was at fault, since the last time. */
  async prove(waiting: Waiting): Promise<Outcome> {
    const { puts } = this.#link.known;
    const isDue = puts !== this.#provedPuts || this.#isInDoubt;
    if (!isDue) return { result: "passed", txid: this.#hooks.ackedThrough() };
    const report = await heavyJobs.run(() => this.#proof.run(waiting), waiting);
    this.#report(report.faults);
    this.#isInDoubt = report.faults.length > 0;
    this.#faults = await this.#heal(report, waiting);
    this.#provedPuts = puts;
    const { headTxid: txid, canRestoreHead } = report;
    const [fault] = this.#faults;
    if (fault !== undefined) return { result: "failed", txid, problem: fault.problem };
    return { result: this.#isInDoubt || !canRestoreHead ? "healed" : "passed", txid };
  }

  #report(faults: readonly ReplicaFault[]): void {
    const reported = new Set<string>();
    for (const { file, kind, problem } of faults) {
      const { key, level, etag } = file;
      const name = `${kind} ${key} ${etag}`;
      reported.add(name);
      if (this.#reported.has(name)) continue;
      const fields = { key, level, kind, problem };
      this.#parts.logger.log("error", "verification.replica-fault", fields);
    }
    this.#reported = reported;
  }

  #heal(report: ProofReport, waiting: Waiting): Promise<readonly ReplicaFault[]> {
    const putSnapshot = (): Promise<void> =>
      heavyJobs.run(() => this.#hooks.putSnapshot(waiting), waiting);
    return healReplica(this.#parts, report, { ...this.#hooks, putSnapshot }, waiting);
  }

  /** Compares a restore of the newest TXID; `comparedTxid` was compared before. `undefined`: not possible now. */
  async compareRestore(
    comparedTxid: bigint | undefined,
    waiting: Waiting,
  ): Promise<Outcome | undefined> {
    const { logger, history } = this.#parts;
    const txid = history.head?.txid;
    // The same bytes again: where reading costs, the scrub alone watches an idle database.
    if (txid !== undefined && txid === comparedTxid && !isLocal(this.#link.store))
      return { result: "passed", txid };
    await this.#hooks.stager.quiet(waiting);
    const comparison = await heavyJobs.run(
      () => compareRestore(this.#parts, this.#hooks, waiting),
      waiting,
    );
    switch (comparison.kind) {
      case "skipped":
        logger.log("warn", "restore-verification.skipped", { why: comparison.why });
        return undefined;
      case "faulty":
        await this.#replaceImage(comparison, waiting);
        return { result: "failed", ...comparison };
      case "compared": {
        const { stager } = this.#hooks;
        const divergedPages = await heal(this.#parts, stager, comparison.divergedPgnos, waiting);
        const result = divergedPages > 0 ? "healed" : "passed";
        return { result, txid: comparison.txid, divergedPages };
      }
      default:
        return unreachable(comparison);
    }
  }

  /** Which file is to blame may be unknown: an image of a TXID of its own needs none of those there are. */
  async #replaceImage(
    { txid, problem }: { readonly txid: Txid; readonly problem: string },
    { signal }: Waiting,
  ): Promise<void> {
    this.#isInDoubt = true;
    const fields = { txid: formatTxid(txid), problem };
    this.#parts.logger.log("error", "verification.restore-fault", fields);
    await this.#hooks.stager.restage(Uint32Array.of(1), { always: true, signal });
    const report = { newFiles: 0, faults: [], headTxid: txid, canRestoreHead: false };
    await this.#heal(report, { signal });
  }
}
