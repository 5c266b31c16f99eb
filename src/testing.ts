// For those who write stores or test against Headwater: the suite every store passes, and a world that fails on demand.
export { objectStoreCases } from "./core/testing/object-store-suite.ts";
export type { ObjectStoreCase, OpenEmptyStore } from "./core/testing/object-store-suite.ts";
export { createFaultyFileSystem } from "./core/testing/faulty-file-system.ts";
export type { FileCall } from "./core/testing/faulty-file-system.ts";
export { createFaultyStore } from "./core/testing/faulty-store.ts";
export type { StoreCall, StoreFault, StoreOperation } from "./core/testing/faulty-store.ts";
export { createSeededRandom } from "./core/testing/seeded-random.ts";
export { VirtualClock } from "./core/testing/virtual-clock.ts";
export type { Clock } from "./core/base/clock.ts";
export type {
  FileOwnership,
  FileStatus,
  FileSystem,
  OpenFile,
  OpenMode,
} from "./core/base/file-system.ts";
export type { Random } from "./core/base/random.ts";
export type { ObjectStore } from "./core/store/object-store.ts";
