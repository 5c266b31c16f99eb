// At most so many requests at once. A slot is held only while something is asked of the store: never while a caller
// thinks about what it has read, never while a body is produced. So a body may be read from the same store, and any
// number of reads may be open, without anybody waiting for a slot that its holder cannot give back.
import type { Waiting } from "../base/async.ts";
import { Semaphore } from "../base/semaphore.ts";
import type {
  ListOptions,
  ObjectBody,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
} from "./object-store.ts";

/** `store`, with at most `limit` requests in progress. Further ones wait in the order they came. */
export function createLimitedStore(
  store: ObjectStore,
  { limit }: { readonly limit: number },
): ObjectStore {
  const slots = new Semaphore(limit);
  return {
    url: store.url,
    features: (options) => slots.run(() => store.features(options), options),
    put: (key, body, options) =>
      slots.run(() => store.put(key, withoutSlot(body, slots), options), options),
    get: async (key, options): Promise<ObjectContent | undefined> => {
      const content = await slots.run(() => store.get(key, options), options);
      return content && { info: content.info, body: withSlot(content.body, slots, options) };
    },
    head: (key, options) => slots.run(() => store.head(key, options), options),
    list: (options: ListOptions): AsyncIterable<ObjectInfo> =>
      withSlot(store.list(options), slots, options),
    delete: (keys, options) => slots.run(() => store.delete(keys, options), options),
    copy: (from, to, options) => slots.run(() => store.copy(from, to, options), options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** The items of `source`, holding a slot while each is fetched. */
async function* withSlot<T>(
  source: AsyncIterable<T>,
  slots: Semaphore,
  options: Waiting,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await slots.run(() => iterator.next(), options);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** `body`, giving the put's own slot back while each chunk is produced. (After an abort, as long as the producer hangs, one slot too many is free.) */
function withoutSlot(body: ObjectBody, slots: Semaphore): ObjectBody {
  return {
    sizeBytes: body.sizeBytes,
    async *open(options) {
      const iterator = body.open(options)[Symbol.asyncIterator]();
      try {
        for (;;) {
          slots.release();
          let step: IteratorResult<Uint8Array>;
          try {
            step = await iterator.next();
          } finally {
            // Without a signal: the put that holds the slot will release it, so it must have it.
            await slots.acquire({});
          }
          if (step.done === true) return;
          yield step.value;
        }
      } finally {
        await iterator.return?.();
      }
    },
  };
}
