// Public entry `headwater/sqlite`: SQLite's own files, decoded and encoded.
export {
  databaseHeaderSizeBytes,
  decodeDatabaseHeader,
  encodeDatabaseHeader,
  hasWalResetBug,
  isWalMode,
  type DatabaseHeader,
} from "./core/sqlite/database-header.ts";
export {
  type BtreeCell,
  type BtreeKind,
  type BtreePage,
  type SqliteVarint,
  childPgnos,
  decodeBtreePage,
  isInteriorKind,
  nextOverflowPgno,
  readBtreeCell,
  readVarint,
} from "./core/sqlite/btree.ts";
export { schemaRootPgnos } from "./core/sqlite/schema-roots.ts";
export {
  decodeJournalHeader,
  decodeJournalRecord,
  encodeJournalHeader,
  journalRecordSizeBytes,
  journalSectorSizeBytes,
  sealJournalRecord,
  type JournalHeader,
  type JournalRecord,
} from "./core/sqlite/journal.ts";
export type { ByteOrder } from "./core/sqlite/layout.ts";
export {
  decodeWalFrameHeader,
  decodeWalHeader,
  encodeWalFrameHeader,
  encodeWalHeader,
  walFormatVersion,
  walFrameHeaderSizeBytes,
  walFrameOffset,
  walHeaderSizeBytes,
  type WalFrameHeader,
  type WalHeader,
} from "./core/sqlite/wal.ts";
export { WalChecksum } from "./core/sqlite/wal-checksum.ts";
export {
  decodeWalIndex,
  encodeWalIndex,
  walIndexHeaderSizeBytes,
  walIndexPgnoRun,
  type FramePgnoRun,
  type WalIndex,
} from "./core/sqlite/wal-index.ts";
