// What `headwater replicate` does alike for one database and for those of a configuration file.
import { existsSync } from "node:fs";
import { orAborted } from "../../core/base/async.ts";
import { hasCode } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import type { ResolvedOptions } from "../engine/engine-options.ts";
import type { RunningEngine } from "../engine/running-engine.ts";
import { restore } from "../restore/restore.ts";
import type { ConfigFlags } from "./config-flags.ts";
import { newestReplica } from "./newest-replica.ts";
import type { StopSignals } from "./signals.ts";
import { parseChoiceFlag } from "./values.ts";

/** What -log-level takes; `warning` as well. */
export const logLevels = ["trace", "debug", "info", "warn", "error"] as const;

export interface ReplicateFlags extends ConfigFlags {
  readonly once?: boolean;
  readonly forceSnapshot?: boolean;
  readonly exec?: string;
  readonly logLevel?: string;
  readonly restoreIfDbNotExists?: boolean;
  readonly syncInterval?: string;
  readonly maxCost?: string;
  readonly maxPutsPerMonth?: string;
  readonly stateDir?: string;
  readonly takeOver?: boolean;
  readonly manifest?: boolean;
  /** False with `-no-lease`. */
  readonly lease?: boolean;
  readonly maxWalSize?: string;
  readonly maxStaging?: string;
  readonly verifyInterval?: string;
  readonly verifyRestoreInterval?: string;
  readonly enforceRetention?: boolean;
}

/** The level that was wanted: by the flag, by LOG_LEVEL, or by `otherwise`. Throws `usage/invalid`. */
export function logLevelOf(
  { logLevel }: ReplicateFlags,
  environment: Readonly<Record<string, string | undefined>>,
  otherwise = "info",
): string {
  const text = logLevel ?? environment["LOG_LEVEL"] ?? otherwise;
  return parseChoiceFlag("log-level", [...logLevels, "warning"], text.toLowerCase());
}

/** Restores the database if it is not there. A replica without a backup is fine. */
export async function restoreIfMissing(
  options: ResolvedOptions,
  { logger, signal }: { readonly logger: Logger; readonly signal?: AbortSignal },
): Promise<void> {
  const { path } = options;
  try {
    // Nothing is restored over a database that is there, so nothing needs to be chosen for it.
    const replicas = existsSync(options.path) ? options.replicas.slice(0, 1) : options.replicas;
    const { url, secrets } = await newestReplica(
      { path: options.path, replicas },
      { logger, signal },
    );
    const { txid } = await restore({ replica: url, secrets, output: path, logger, signal });
    logger.log("info", "database.restored", { path, txid });
  } catch (error) {
    if (!hasCode(error, "replica/empty", "restore/output-exists")) throw error;
    logger.log("info", "database.not-restored", { path, why: error.message });
  }
}

/** A full image and retention if they are wanted, and the last sync of `-once`. */
export async function finishOnce(
  engine: RunningEngine,
  { forceSnapshot, enforceRetention }: ReplicateFlags,
  { first: signal }: StopSignals,
): Promise<void> {
  try {
    if (forceSnapshot === true) await engine.snapshot({ signal });
    if (enforceRetention === true) {
      // What goes is decided on what is there after everything has been uploaded.
      await orAborted(engine.sync(), { signal });
      await engine.enforceRetention({ signal });
    }
  } finally {
    await engine.stop({ signal });
  }
}
