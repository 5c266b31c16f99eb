// Counts requests as a store charges for them, before each is sent: one that fails may be charged as well.
import type {
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectStore,
  PutOptions,
} from "./object-store.ts";
import type { RequestKind } from "./request-prices.ts";

export interface Meter {
  /** Takes note of requests that are about to be sent, or of more that were sent than one could know. Never throws. */
  count(kind: RequestKind, requests: number): Promise<void>;
  /** Larger objects of unknown size, and those without a condition, go up in parts of this size. */
  readonly partSizeBytes: number;
}

/** Most keys in one answer to a list request, in S3 and in what speaks its protocol. */
const keysPerList = 1_000;

/** `store`, telling `meter` what is asked of it. What `features` tries is not counted: that happens once. */
export function createMeteredStore(store: ObjectStore, meter: Meter): ObjectStore {
  return {
    url: store.url,
    features: (options) => store.features(options),
    put: (key, body, options) => meteredPut(store, meter, key, body, options),
    get: async (key, options) => {
      await meter.count("get", 1);
      return store.get(key, options);
    },
    head: async (key, options) => {
      await meter.count("get", 1);
      return store.head(key, options);
    },
    list: (options) => meteredList(store, meter, options),
    delete: async (keys, options) => {
      await meter.count("delete", 1);
      return store.delete(keys, options);
    },
    copy: async (from, to, options) => {
      await meter.count("put", 1);
      return store.copy(from, to, options);
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

async function meteredPut(
  store: ObjectStore,
  meter: Meter,
  key: string,
  body: ObjectBody,
  options: PutOptions,
): Promise<ObjectInfo> {
  await meter.count("put", 1);
  const info = await store.put(key, body, options);
  const isSingle = body.sizeBytes !== undefined && options.condition !== undefined;
  if (!isSingle && info.sizeBytes > meter.partSizeBytes) {
    // Beginning and end of the upload are requests, too; one of all of them is counted already.
    await meter.count("put", Math.ceil(info.sizeBytes / meter.partSizeBytes) + 1);
  }
  return info;
}

async function* meteredList(
  store: ObjectStore,
  meter: Meter,
  options: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  await meter.count("list", 1);
  let objects = 0;
  for await (const info of store.list(options)) {
    if (objects > 0 && objects % keysPerList === 0) await meter.count("list", 1);
    objects++;
    yield info;
  }
}
