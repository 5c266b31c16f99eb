// Reads for a caller that stands still until it has the bytes: where SQLite runs in the only thread there is, it cannot wait for
// a promise. What can do that stands beside an `ObjectStore`.
import type { GetOptions } from "./object-store.ts";

export interface BlockingReads {
  /** `ObjectStore.get`, at once. */
  getNow(key: string, options: GetNowOptions): BlockingContent | undefined;
}

export type GetNowOptions = Pick<GetOptions, "offset" | "length" | "etag">;

/** An object, or a part of it, that was read. */
export interface BlockingContent {
  /** `""` where the store does not say. */
  readonly etag: string;
  /** Of the whole object; `undefined` where the store does not say. */
  readonly sizeBytes: number | undefined;
  /** Those asked for; fewer if the object ends before. The caller's. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}
