// Entry `headwater/vfs`: query a replica from a browser, through SQLite in WebAssembly, without a download.
export { type ErrorCode, HeadwaterError, type Recovery, hasCode } from "./core/base/errors.ts";
export type { LogFields, LogLevel, Logger } from "./core/base/log.ts";
export { type Txid, formatTxid, parseTxid, toTxid } from "./core/ltx/txid.ts";
export type { ReplicaDatabase, RowBatch } from "./core/vfs/replica-database.ts";
export type { SqlParameter, SqlParameters, SqlRow, SqlValue } from "./core/vfs/sql-values.ts";
export { type OpenReplicaOptions, type ReplicaMode, openReplica } from "./web/open-replica.ts";
export type { LoadWaSqlite } from "./core/vfs/wa-sqlite-module.ts";
