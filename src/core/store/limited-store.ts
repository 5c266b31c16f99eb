// At most so many requests at once. Reads and writes are counted apart: the body of a put may be read from the same
// store, so that a put which holds the last slot would otherwise wait for a read that waits for its slot. A read
// holds its slot only while something is fetched, never while its caller thinks: any number may be open.
import type { Waiting } from "../base/async.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { ObjectContent, ObjectStore } from "./object-store.ts";

/**
 * `store`, with at most `limit` writes (puts, deletes, copies) and at most `limit` reads in progress. Further ones wait
 * in the order they came.
 */
export function createLimitedStore(
  store: ObjectStore,
  { limit }: { readonly limit: number },
): ObjectStore {
  const reads = new Semaphore(limit);
  const writes = new Semaphore(limit);
  return {
    url: store.url,
    features: (options) => reads.run(() => store.features(options), options),
    put: (key, body, options) => writes.run(() => store.put(key, body, options), options),
    get: async (key, options): Promise<ObjectContent | undefined> => {
      const content = await reads.run(() => store.get(key, options), options);
      return content && { info: content.info, body: withSlot(content.body, reads, options) };
    },
    head: (key, options) => reads.run(() => store.head(key, options), options),
    list: (options) => withSlot(store.list(options), reads, options),
    delete: (keys, options) => writes.run(() => store.delete(keys, options), options),
    copy: (from, to, options) => writes.run(() => store.copy(from, to, options), options),
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
