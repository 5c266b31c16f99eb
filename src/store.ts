// The interface of object storage, the store in memory, and the wrappers that work around any store.
export { bodyOf } from "./core/store/object-store.ts";
export type {
  CopyOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
  PutCondition,
  PutOptions,
  StoreFeatures,
} from "./core/store/object-store.ts";
export { type HttpStoreOptions, createHttpStore } from "./core/store/http-store.ts";
export type { HttpAnswer, HttpFetch, HttpRequest } from "./core/store/http-answer.ts";
export { createLimitedStore } from "./core/store/limited-store.ts";
export { createLoggedStore } from "./core/store/logged-store.ts";
export { createMemoryStore } from "./core/store/memory-store.ts";
export { createPrefixedStore } from "./core/store/prefixed-store.ts";
export { createRetryingStore } from "./core/store/retrying-store.ts";
export type { RetryingStoreOptions } from "./core/store/retrying-store.ts";
export { HeadwaterError } from "./core/base/errors.ts";
export type { ErrorCode, ErrorDetails, Recovery } from "./core/base/errors.ts";
export type { Backoff, Waiting } from "./core/base/async.ts";
export type { Clock } from "./core/base/clock.ts";
export type { LogFields, Logger, LogLevel } from "./core/base/log.ts";
export type { Random } from "./core/base/random.ts";
