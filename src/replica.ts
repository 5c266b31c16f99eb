// Entry `headwater/replica`: a store seen as a history of one database.
export { type ReplicaFile, listLevel, listReplica } from "./core/replica/catalog.ts";
export { type CompactOptions, type CompactResult, compact } from "./core/replica/compact.ts";
export {
  type CompactionPlan,
  type CompactionPlanOptions,
  planCompaction,
} from "./core/replica/plan-compaction.ts";
export { verifyCompacted } from "./core/replica/verify-compacted.ts";
export {
  type History,
  type HistoryGap,
  type HistoryPoint,
  type TimedFile,
  listHistory,
} from "./core/replica/history.ts";
export {
  type LtxKey,
  type ReplicaLayout,
  layoutForUrl,
  litestreamLayout,
  litestreamS3Layout,
  maxLevel,
} from "./core/replica/layout.ts";
export { Lease, type LeaseMemory, type LeaseOptions } from "./core/replica/lease.ts";
export { type FoundLease, type LeaseRecord, readLease } from "./core/replica/lease-object.ts";
export { type LeaseWatchOptions } from "./core/replica/lease-watch.ts";
export type { Manifest, ManifestFile, ManifestHot } from "./core/replica/manifest.ts";
export { ManifestReader } from "./core/replica/manifest-reader.ts";
export { createManifestStore } from "./core/replica/manifest-store.ts";
export {
  type RestoreTarget,
  type TxidRange,
  planRestore,
  restorableRanges,
} from "./core/replica/plan.ts";
export { type PruneOptions, applyRetention } from "./core/replica/prune.ts";
export {
  type RetentionPlan,
  type RetentionPolicy,
  type RetentionReason,
  type RetentionVerdict,
  planRetention,
  retentionDefaults,
} from "./core/replica/retention.ts";
export { type HeadersRead, withAllHeaders, withHeaderTimes } from "./core/replica/timeline.ts";
export {
  type WriteChecksumOptions,
  checksumFileKey,
  listChecksumFiles,
  pruneChecksumFiles,
  writeChecksumFile,
} from "./core/view/checksum-file.ts";
export { type FetchLimits, fetchDefaults } from "./core/view/fetcher.ts";
export type { FileInside, ViewFile } from "./core/view/file-table.ts";
export {
  type FrameIdentity,
  MemoryFrames,
  type PersistentFrames,
} from "./core/view/persistent-frames.ts";
export {
  ReplicaViews,
  type ReplicaViewsOptions,
  type ViewTarget,
} from "./core/view/replica-views.ts";
export { View } from "./core/view/view.ts";
export type { ListViewFiles } from "./core/view/view-files.ts";
