// A database of a configuration file as a member of a fleet.
import type { Logger } from "../../core/base/log.ts";
import type { DatabaseConfig } from "../engine/config/database-config.ts";
import { resolveOptions } from "../engine/engine-options.ts";
import type { FleetMember } from "../engine/fleet-environment.ts";
import { restoreIfMissing } from "./replicate-steps.ts";
import type { ReplicateFlags } from "./replicate-steps.ts";

/** The flags of the command line go before the file. */
export function toFleetMember(
  { options, restoreIfDbNotExists, replicaIdentities }: DatabaseConfig,
  flags: ReplicateFlags,
  logger: Logger,
): FleetMember {
  const takeOver = flags.takeOver ?? options.takeOver;
  const leaseTtlMs = flags.lease === false ? 0 : options.leaseTtlMs;
  const resolved = resolveOptions({ ...options, takeOver, leaseTtlMs });
  const restores = restoreIfDbNotExists || flags.restoreIfDbNotExists === true;
  let isPrepared = !restores;
  const prepare = async (waiting: { readonly signal: AbortSignal }): Promise<void> => {
    if (!isPrepared) await restoreIfMissing(resolved, { logger, ...waiting });
    isPrepared = true;
  };
  return { options: resolved, prepare, replicaIdentities };
}
