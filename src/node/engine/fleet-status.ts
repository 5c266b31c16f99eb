// What a database of a fleet says about itself across the engines that it has had.
import type { EngineStatus } from "./engine-status.ts";
import { noLevels } from "./replica-upkeep.ts";
import type { RestRecord } from "./rest-record.ts";
import { noVerification } from "./verification.ts";

/** While it is at rest, or is waited for, nothing goes on. */
export function statusAsleep(path: string, record: RestRecord | undefined): EngineStatus {
  return {
    state: record === undefined ? "waiting" : "hibernated",
    path,
    txid: record?.txid,
    replicatedThrough: record?.txid ?? 0n,
    transactions: 0,
    pendingTransactions: 0,
    walSizeBytes: 0,
    uploadedBytes: 0,
    stagedBytes: 0,
    isDiskFull: false,
    isWalBlocked: false,
    uploadedAtMs: undefined,
    failingSinceMs: undefined,
    lastError: undefined,
    budget: undefined,
    databaseSizeBytes: Number(record?.facts.database.sizeBytes ?? 0n),
    unreplicatedSinceMs: undefined,
    replicas: [],
    levels: noLevels,
    verification: noVerification,
  };
}

/** Counts of the process go on from those of the engines before. */
export function continueCounts(
  status: EngineStatus,
  earlier: EngineStatus | undefined,
): EngineStatus {
  if (earlier === undefined) return status;
  const { levels, verification } = status;
  return {
    ...status,
    transactions: status.transactions + earlier.transactions,
    uploadedBytes: status.uploadedBytes + earlier.uploadedBytes,
    uploadedAtMs: status.uploadedAtMs ?? earlier.uploadedAtMs,
    levels: {
      ...levels,
      compactedThrough: levels.compactedThrough || earlier.levels.compactedThrough,
      compactions: levels.compactions + earlier.levels.compactions,
      snapshots: levels.snapshots + earlier.levels.snapshots,
      deletedFiles: levels.deletedFiles + earlier.levels.deletedFiles,
      repairedFiles: levels.repairedFiles + earlier.levels.repairedFiles,
    },
    replicas: status.replicas.length === 0 ? earlier.replicas : status.replicas,
    // What an engine finds is kept in the state directory; between two of them nothing is looked at.
    verification: verification.result === "none" ? earlier.verification : verification,
  };
}
