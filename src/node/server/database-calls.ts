// The two questions that the control socket has for one database of the fleet: how is it, and is everything safe now?
import { messageOf } from "../../core/base/errors.ts";
import { parseTxid } from "../../core/ltx/txid.ts";
import type { EngineStatus } from "../engine/engine-status.ts";
import type { FleetDatabase } from "../engine/fleet-database.ts";
import { stateDirectoryOf } from "../engine/state-directory.ts";
import { furthestBehind, readStateFiles } from "../engine/state-summary.ts";

export interface DatabaseStatus {
  /** `open`: on its way to replicating, or kept from it by `error`. */
  readonly state: "replicating" | "open" | "stopped";
  /** The newest TXID on local disk; 0 = none. */
  readonly txid: bigint;
  /** Every TXID up to it is in the replica; 0 = none. */
  readonly replicatedTxid: bigint;
  /** Of the last upload of this process. */
  readonly uploadedAtMs: number | undefined;
  readonly error: string | undefined;
  /** While an engine is at work, or the database is at rest. */
  readonly engine: EngineStatus | undefined;
}

/** How the database is; without an engine at work, from its state directory. */
export async function statusOf(database: FleetDatabase): Promise<DatabaseStatus> {
  const engine = database.status;
  const failure = database.failure === undefined ? undefined : messageOf(database.failure);
  if (engine !== undefined) {
    return {
      // One at rest is replicated, and will be as soon as it changes.
      state: ["replicating", "hibernated"].includes(engine.state) ? "replicating" : "open",
      txid: engine.txid ?? 0n,
      replicatedTxid: engine.replicatedThrough,
      uploadedAtMs: engine.uploadedAtMs,
      error: failure ?? engine.lastError,
      engine,
    };
  }
  const { path, stateDir = stateDirectoryOf(path) } = database.member.options;
  const files = await readStateFiles(stateDir).catch(() => undefined);
  return {
    state: database.isStopped || database.hasGivenUp ? "stopped" : "open",
    txid: parseTxid(files?.localTxid ?? "") ?? 0n,
    replicatedTxid: parseTxid(furthestBehind(files?.replicas ?? [])?.txid ?? "") ?? 0n,
    uploadedAtMs: undefined,
    error: failure,
    engine: undefined,
  };
}

/**
 * Resolves to a TXID when everything committed before the call is staged on local disk or, with `wait`, in the
 * replica. Waits for an engine that is starting; rejects with what keeps it from that.
 */
export async function syncDatabase(
  database: FleetDatabase,
  { wait, signal }: { readonly wait: boolean; readonly signal: AbortSignal },
): Promise<bigint> {
  return wait ? database.sync({ signal }) : database.stage({ signal });
}
