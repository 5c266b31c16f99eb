// Reads for a caller that stands still until it has the bytes: where SQLite runs in the only thread there is, it cannot wait for
// a promise. A store that can do that implements this beside `ObjectStore`.
import type { GetOptions, ObjectInfo } from "./object-store.ts";

export interface BlockingReads {
  /** `ObjectStore.get`, at once. */
  getNow(key: string, options: GetNowOptions): BlockingContent | undefined;
}

export type GetNowOptions = Pick<GetOptions, "offset" | "length" | "etag">;

/** An object, or a part of it, that was read. */
export interface BlockingContent {
  readonly info: ObjectInfo;
  /** Exactly those asked for; the reader's. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}
