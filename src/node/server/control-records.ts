// Answers of the control socket, with Litestream's fields first and in its spelling.
import type { FleetDatabase } from "../engine/fleet-database.ts";
import type { Outcome } from "./control.ts";
import { statusOf } from "./database-calls.ts";

export function toOutcomeRecord<Status extends string>({
  status,
  path,
  txid,
}: Outcome<Status>): {
  readonly status: Status;
  readonly path: string;
  readonly txid: number;
} {
  return { status, path, txid: Number(txid) };
}

/** One entry of `/list`. */
export async function toListRecord(database: FleetDatabase): Promise<unknown> {
  const { state, uploadedAtMs, error } = await statusOf(database);
  return {
    path: database.path,
    status: state,
    ...(uploadedAtMs !== undefined && { last_sync_at: new Date(uploadedAtMs).toISOString() }),
    ...(error !== undefined && { error }),
  };
}

/** One entry of `/debug/sync-status`. Of Litestream's fields those that mean something here. */
export async function toSyncStatusRecord(database: FleetDatabase): Promise<unknown> {
  const { state, txid, replicatedTxid, error, engine } = await statusOf(database);
  const isActive =
    engine !== undefined && (engine.pendingTransactions > 0 || replicatedTxid < txid);
  return {
    path: database.path,
    active: isActive,
    ...(isActive && { operation: "sync" }),
    txid: Number(txid),
    ...(engine !== undefined && { wal_size: engine.walSizeBytes }),
    ...(error !== undefined && { error }),
    state: engine?.state ?? state,
    replicated_txid: Number(replicatedTxid),
    ...(engine !== undefined && {
      pending_transactions: engine.pendingTransactions,
      staged_bytes: engine.stagedBytes,
    }),
  };
}
