// What an engine tells about itself.
import type { Txid } from "../../core/ltx/txid.ts";

export interface EngineStatus {
  /**
   * `waiting`: for the database; `settling`: bringing replica and database to one history; `hibernated`: in a fleet,
   * everything is in the replica and nothing has changed since.
   */
  readonly state:
    | "starting"
    | "waiting"
    | "settling"
    | "replicating"
    | "hibernated"
    | "stopping"
    | "stopped";
  readonly path: string;
  /** The newest TXID, staged on local disk. */
  readonly txid: Txid | undefined;
  /** Every TXID up to it is in all replicas; 0 = none. */
  readonly replicatedThrough: bigint;
  /** Transactions captured by this process. */
  readonly transactions: number;
  /** Transactions seen and not yet staged. */
  readonly pendingTransactions: number;
  /** As of the newest TXID; 0 = not known. */
  readonly databaseSizeBytes: number;
  readonly walSizeBytes: number;
  /** Put into the replicas by this process. */
  readonly uploadedBytes: number;
  readonly stagedBytes: number;
  readonly isDiskFull: boolean;
  /** The WAL is above its limit and cannot be reset. */
  readonly isWalBlocked: boolean;
  /** Wall-clock times in ms. */
  readonly uploadedAtMs: number | undefined;
  /** Since then something that was captured has not been in the replica; `undefined`: everything is. */
  readonly unreplicatedSinceMs: number | undefined;
  readonly failingSinceMs: number | undefined;
  readonly lastError: string | undefined;
  /** `undefined`: there is no limit. */
  readonly budget: BudgetStatus | undefined;
  /** Level 1 and what became of the levels, as this process knows. */
  readonly levels: LevelsStatus;
  readonly verification: VerificationStatus;
  /** Each by itself. What stands above is that of the one that is furthest behind, or of all together. */
  readonly replicas: readonly ReplicaStatus[];
}

/** What continuous verification has found. */
export interface VerificationStatus {
  /**
   * Of the last verifications: `healed`: something was wrong and is right again; `failed`: something is wrong; `none`: this
   * process has verified nothing yet.
   */
  readonly result: "none" | "passed" | "healed" | "failed";
  /** When source and replica were last found, or made, right (wall clock, ms), and up to which TXID; 0 = none. */
  readonly lastVerifiedAtMs: number | undefined;
  readonly lastVerifiedTxid: bigint;
  /** The same of a restore that was compared byte for byte. */
  readonly lastRestoreVerifiedAtMs: number | undefined;
  readonly lastRestoreVerifiedTxid: bigint;
  /** Pages of the source, found by this process, that nobody had committed so. */
  readonly divergedPages: number;
  /** Files of the replica that are missing or damaged now. */
  readonly faultyFiles: number;
  /** Verifications that failed or could not be made, in a row, and since when (wall clock, ms). */
  readonly failures: number;
  readonly failingSinceMs: number | undefined;
  readonly lastError: string | undefined;
}

/** What is left of what the replica may cost. */
export interface BudgetStatus {
  /** Level-0 files that can go now at full speed; below 0: it is overdrawn by what could not wait. */
  readonly putsLeft: number;
  /** How far apart uploads of a database are that is written without pause from now on, ms. */
  readonly intervalMs: number;
  /** That is further than `syncIntervalMs`. */
  readonly isStretched: boolean;
}

/** One replica of the database. */
export interface ReplicaStatus {
  /** Without secrets. */
  readonly url: string;
  /** `following`: being led to the history; `stopped`: left alone because of `lastError`, while the others go on. */
  readonly state: "following" | "replicating" | "stopped";
  /** Every TXID up to it is in this replica; 0 = none. */
  readonly replicatedThrough: bigint;
  readonly uploadedBytes: number;
  readonly uploadedAtMs: number | undefined;
  readonly failingSinceMs: number | undefined;
  readonly lastError: string | undefined;
  readonly levels: LevelsStatus;
  readonly verification: VerificationStatus;
  /** `undefined`: none is written. */
  readonly manifest: ManifestStatus | undefined;
}

/** The manifest of a replica. */
export interface ManifestStatus {
  /** Newest TXID in it, and when it was written by this process (wall clock, ms). */
  readonly txid: Txid | undefined;
  readonly writtenAtMs: number | undefined;
  /** It could not be written since then; replication goes on meanwhile. */
  readonly failingSinceMs: number | undefined;
  readonly lastError: string | undefined;
}

export interface LevelsStatus {
  /** Newest TXID in level 1; 0 = none, or not looked at yet. */
  readonly compactedThrough: bigint;
  /** Files of levels 1 to 8 made, full images put, and files deleted by this process. */
  readonly compactions: number;
  readonly snapshots: number;
  readonly deletedFiles: number;
  /** Damaged or missing files of levels 1 to 8 that this process made anew from others. */
  readonly repairedFiles: number;
  /** Damaged files that nothing replaces: the restore points in them are lost. */
  readonly lostFiles: number;
  /** Gaps and overlaps in levels that the last validation found, and when that was (wall clock, ms). */
  readonly validationFaults: number;
  readonly validatedAtMs: number | undefined;
  /** Compaction, images or retention fail since then (wall clock, ms); replication goes on meanwhile. */
  readonly failingSinceMs: number | undefined;
  readonly lastError: string | undefined;
}
