// Tries again what may work later, for as long as it is told to, without ever guessing: after a lost reply it reads
// back, an interrupted read goes on where it stopped, an interrupted list after the last key.
import { retry } from "../base/async.ts";
import type { Backoff, Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { HeadwaterError, hasCode, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type {
  CopyOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoreFeatures,
} from "./object-store.ts";
import { findEqualObject } from "./settle-put.ts";

export interface RetryingStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** In all, per request; progress within a read or a list starts the count anew. `Infinity` by default. */
  readonly attempts?: number | undefined;
  readonly backoff?: Backoff | undefined;
}

const defaultBackoff: Backoff = { firstMs: 250, maxMs: 300_000 };

/**
 * `store`, with every failure that `recovery: "retry"` marks tried again with growing pauses (up to 5 minutes), until
 * it succeeds or the caller's signal ends it.
 */
export function createRetryingStore(
  store: ObjectStore,
  options: RetryingStoreOptions,
): ObjectStore {
  return new RetryingStore(store, options);
}

class RetryingStore implements ObjectStore {
  readonly url: string;
  readonly #store: ObjectStore;
  readonly #options: RetryingStoreOptions;

  constructor(store: ObjectStore, options: RetryingStoreOptions) {
    this.url = store.url;
    this.#store = store;
    this.#options = options;
  }

  features(options: Waiting): Promise<StoreFeatures> {
    return this.#retry("features", "", options, () => this.#store.features(options));
  }

  put(key: string, body: ObjectBody, options: PutOptions): Promise<ObjectInfo> {
    let outcomeIsUnknown = false;
    return this.#retry("put", key, options, async () => {
      try {
        return await this.#store.put(key, body, options);
      } catch (error) {
        if (isRetryable(error)) outcomeIsUnknown = true;
        // The object in the way may be our own: an earlier attempt stored it and only its reply was lost.
        if (!outcomeIsUnknown || !hasCode(error, "store/exists", "store/changed")) throw error;
        const stored = await findEqualObject(this.#store, key, body, options);
        if (stored === undefined) throw error;
        return stored;
      }
    });
  }

  async get(key: string, options: GetOptions): Promise<ObjectContent | undefined> {
    const content = await this.#retry("get", key, options, () => this.#store.get(key, options));
    if (content === undefined) return undefined;
    return { info: content.info, body: this.#resume(key, content, options) };
  }

  head(key: string, options: Waiting): Promise<ObjectInfo | undefined> {
    return this.#retry("head", key, options, () => this.#store.head(key, options));
  }

  async *list(options: ListOptions): AsyncIterable<ObjectInfo> {
    let { after } = options;
    let listed: AsyncIterator<ObjectInfo> | undefined;
    try {
      for (;;) {
        const step = await this.#retry("list", options.prefix, options, async () => {
          listed ??= this.#store.list({ ...options, after })[Symbol.asyncIterator]();
          const current = listed;
          listed = undefined;
          const next = await current.next();
          listed = current;
          return next;
        });
        if (step.done === true) return;
        after = step.value.key;
        yield step.value;
      }
    } finally {
      await listed?.return?.();
    }
  }

  delete(keys: readonly string[], options: Waiting): Promise<void> {
    const what = keys.length === 1 ? (keys[0] ?? "") : `${keys.length} objects`;
    return this.#retry("delete", what, options, () => this.#store.delete(keys, options));
  }

  copy(from: string, to: string, options: CopyOptions): Promise<ObjectInfo | undefined> {
    return this.#retry("copy", to, options, () => this.#store.copy(from, to, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  /** The body of `content`, going on in the same version of the object when the connection breaks. */
  async *#resume(
    key: string,
    content: ObjectContent,
    options: GetOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const start = options.offset ?? 0;
    const { etag } = content.info;
    let readBytes = 0;
    let body: AsyncIterator<Uint8Array> | undefined = content.body[Symbol.asyncIterator]();
    const reopen = async (): Promise<AsyncIterator<Uint8Array>> => {
      const length = options.length === undefined ? undefined : options.length - readBytes;
      const rest = await this.#store.get(key, {
        ...options,
        offset: start + readBytes,
        length,
        etag,
      });
      if (rest !== undefined) return rest.body[Symbol.asyncIterator]();
      throw new HeadwaterError(
        "store/changed",
        `${key} was deleted while it was being read. Try again.`,
      );
    };
    try {
      for (;;) {
        const step = await this.#retry("get", key, options, async () => {
          const current = body ?? (await reopen());
          body = undefined;
          const next = await current.next();
          body = current;
          return next;
        });
        if (step.done === true) return;
        readBytes += step.value.length;
        yield step.value;
      }
    } finally {
      await body?.return?.();
    }
  }

  #retry<T>(
    operation: string,
    key: string,
    { signal }: Waiting,
    work: () => Promise<T>,
  ): Promise<T> {
    const { clock, random, logger } = this.#options;
    return retry(work, {
      clock,
      random,
      signal,
      backoff: this.#options.backoff ?? defaultBackoff,
      attempts: this.#options.attempts ?? Infinity,
      isRetryable,
      onRetry: (error, attempt, waitMs) => {
        const fields = { url: this.url, operation, key, attempt, waitMs, error: messageOf(error) };
        logger.log("warn", "store.retry", fields);
      },
    });
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof HeadwaterError && error.recovery === "retry";
}
