// Entry `headwater`: what a program on Node needs to replicate, restore and verify databases.
export { type ErrorCode, HeadwaterError, type Recovery, hasCode } from "./core/base/errors.ts";
export type { LogFields, LogLevel, Logger } from "./core/base/log.ts";
export { type Txid, formatTxid, parseTxid, toTxid } from "./core/ltx/txid.ts";
export type { ReplicaFile } from "./core/replica/catalog.ts";
export type { ReplicaOptions, ReplicateOptions } from "./node/engine/engine-options.ts";
export type { EngineStatus, LevelsStatus, ReplicaStatus } from "./node/engine/engine-status.ts";
export { type ReplicateCallOptions, type Replication, replicate } from "./node/engine/replicate.ts";
export {
  type GenerationPosition,
  type RestoreOptions,
  type RestoreProgress,
  type RestoreResult,
  restore,
} from "./node/restore/restore.ts";
export { type FollowCallOptions, type Following, follow } from "./node/follow/follow.ts";
export type { FollowOptions, FollowStatus } from "./node/follow/follow-options.ts";
export type { SqlParameter, SqlParameters, SqlRow, SqlValue } from "./core/vfs/sql-values.ts";
export { type OpenReplicaOptions, openReplica } from "./node/vfs/open-replica.ts";
export { preloadSqlite } from "./node/vfs/preload-sqlite.ts";
export type { ReplicaDatabase, RowBatch } from "./core/vfs/replica-database.ts";
export type { IntegrityCheck } from "./node/restore/sqlite-process.ts";
export type { StoreSecrets } from "./node/store/store-secrets.ts";
export type { ChosenPoint, RestorePoint } from "./node/restore/target.ts";
export type { FileFinding } from "./node/restore/level-states.ts";
export { type OpenReplicaStoreOptions, openReplicaStore } from "./node/restore/environment.ts";
export { type VerifyOptions, type VerifyResult, verify } from "./node/restore/verify.ts";
