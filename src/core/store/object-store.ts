// The one interface every storage backend and every wrapper implements. Small, with large promises:
// `src/core/testing/object-store-suite.ts` holds each implementation to them.
import { streamOf } from "../base/bytes.ts";
import type { Waiting } from "../base/async.ts";

/** What is known of an object without reading it. */
export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** Changes whenever the object's bytes change. Opaque; compare for equality only. */
  readonly etag: string;
  /** The `timestampMs` given to `put` where `isExactTime`, otherwise when the store received the object. */
  readonly timestampMs: number;
  readonly isExactTime: boolean;
}

/** An object opened for reading. Consume or cancel `body` (by leaving the loop), or the connection stays open. */
export interface ObjectContent {
  readonly info: ObjectInfo;
  /** Exactly the bytes asked for; ends early only by throwing. Each chunk is borrowed until the next is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ReadOptions extends Waiting {
  /**
   * Memory for one chunk, and for one read ahead, where the backend chooses it: for who has many bodies open at once. By
   * default as much as is fast, about 1 MB.
   */
  readonly chunkBytes?: number | undefined;
}

/** Bytes to put. `open` may be called again for a retry and must give the same bytes each time. */
export interface ObjectBody {
  /** Exact length, or `undefined` when only reading tells. More or fewer bytes: the put fails, nothing is stored. */
  readonly sizeBytes: number | undefined;
  /** Each chunk is borrowed until the next is asked for. */
  open(options: ReadOptions): AsyncIterable<Uint8Array>;
}

export interface PutOptions extends Waiting {
  /**
   * `"absent"`: create only; throws `store/exists` if there is an object. `{ etag }`: replace only that version;
   * throws `store/changed`. Absent: replace whatever is there. Where `features` says the store cannot, it throws
   * `store/failed` before sending a byte.
   */
  readonly condition?: PutCondition | undefined;
  /** The time `list` and `head` give back where the backend can keep it. */
  readonly timestampMs?: number | undefined;
  /** What a web server in front of the store tells of the object, where the backend can keep it. */
  readonly web?: WebHeaders | undefined;
}

export interface WebHeaders {
  readonly contentType: string;
  /** `Cache-Control`: how long an answer may be used again. */
  readonly cacheControl: string;
}

export type PutCondition = "absent" | { readonly etag: string };

export interface GetOptions extends ReadOptions {
  /** First byte; 0 = start. */
  readonly offset?: number | undefined;
  /** Bytes; to the end if not given. A range that passes the end gives what there is. */
  readonly length?: number | undefined;
  /** Throws `store/changed` if the object has another version by now. */
  readonly etag?: string | undefined;
  /**
   * The version that the caller has. A store that is spared sending it again answers with that etag and no bytes; others
   * give the object as ever, so compare the etags.
   */
  readonly unlessEtag?: string | undefined;
}

export interface CopyOptions extends Waiting {
  /** Throws `store/changed`, with nothing copied, if the object has another version by now. */
  readonly etag?: string | undefined;
}

export interface ListOptions extends Waiting {
  /** Only keys that start with it. A whole-directory prefix ends with `/`. */
  readonly prefix: string;
  /** Only keys strictly greater, in code-unit order. */
  readonly after?: string | undefined;
}

/** What this store can do, found out by trying where providers differ (`probe`). */
export interface StoreFeatures {
  /** Create-only puts are honoured. */
  readonly createOnly: boolean;
  /** Replace-if-unchanged puts are honoured. */
  readonly replaceIfUnchanged: boolean;
  /** `list` gives the `timestampMs` of `put` without further requests. */
  readonly listsExactTimes: boolean;
  /** Server-side copy. */
  readonly copy: boolean;
}

export interface ObjectStore extends AsyncDisposable {
  /** For messages and logs; holds no secret. */
  readonly url: string;
  /**
   * Finds out what the store can do, by trying, at most once per store object. Costs requests the first time
   * where a provider is in doubt; leaves no object behind.
   */
  features(options: Waiting): Promise<StoreFeatures>;
  /** Atomic: a reader sees all of the object or nothing of it. Resolves once it is durable. Aborting stores nothing or all. */
  put(key: string, body: ObjectBody, options: PutOptions): Promise<ObjectInfo>;
  /** `undefined` if there is no such object. */
  get(key: string, options: GetOptions): Promise<ObjectContent | undefined>;
  /** `undefined` if there is no such object. `isExactTime` wherever the backend kept the time. */
  head(key: string, options: Waiting): Promise<ObjectInfo | undefined>;
  /** In code-unit order of keys, each key once. Nothing there is an empty list; failure throws, never ends early. */
  list(options: ListOptions): AsyncIterable<ObjectInfo>;
  /** Absent keys are fine. Throws if any key could not be deleted, naming it. */
  delete(keys: readonly string[], options: Waiting): Promise<void>;
  /** Copies inside the store, where `features().copy`; replaces `to`. `undefined` if `from` is absent. */
  copy(from: string, to: string, options: CopyOptions): Promise<ObjectInfo | undefined>;
}

/** A body of bytes in memory. Borrowed until the put is done. */
export function bodyOf(bytes: Uint8Array): ObjectBody {
  return { sizeBytes: bytes.length, open: () => streamOf(bytes) };
}
