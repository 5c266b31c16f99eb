// A store that fails the way networks do, when a test says so.
import type { Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { ObjectBody, ObjectStore } from "../store/object-store.ts";

export type StoreOperation = "features" | "put" | "get" | "head" | "list" | "delete" | "copy";

export interface StoreCall {
  readonly operation: StoreOperation;
  /** Key, prefix of a list, or first key of a delete. */
  readonly key: string;
  /** Counted from 1 over all calls. */
  readonly index: number;
}

export type StoreFault =
  /** Fails with `store/unavailable`; the store never heard of it. */
  | { readonly kind: "fail" }
  /** The store does it, the caller hears `store/unavailable`. */
  | { readonly kind: "lose-reply" }
  /** The connection breaks after so many bytes of the body (of a put or a get). */
  | { readonly kind: "cut"; readonly afterBytes: number }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "throttle"; readonly bytesPerSecond: number };

/** `store`, suffering whatever `plan` returns for a call. */
export function createFaultyStore(
  store: ObjectStore,
  options: {
    readonly clock: Clock;
    readonly plan: (call: StoreCall) => StoreFault | undefined;
  },
): ObjectStore {
  const { clock } = options;
  let calls = 0;

  async function suffer<T>(
    operation: StoreOperation,
    key: string,
    waiting: Waiting,
    work: (fault: StoreFault | undefined) => Promise<T>,
  ): Promise<T> {
    calls += 1;
    const fault = options.plan({ operation, key, index: calls });
    if (fault?.kind === "fail") throw broken(operation, key);
    if (fault?.kind === "delay") await clock.sleep(fault.ms, waiting);
    const result = await work(fault);
    if (fault?.kind === "lose-reply") throw broken(operation, key);
    return result;
  }

  return {
    url: store.url,
    features: (waiting) => suffer("features", "", waiting, () => store.features(waiting)),
    put: (key, body, waiting) =>
      suffer("put", key, waiting, (fault) => {
        const open: ObjectBody["open"] = (context) =>
          sufferBody(body.open(context), fault, { clock, what: `put ${key}`, ...context });
        return store.put(key, { sizeBytes: body.sizeBytes, open }, waiting);
      }),
    get: (key, waiting) =>
      suffer("get", key, waiting, async (fault) => {
        const content = await store.get(key, waiting);
        if (content === undefined) return undefined;
        const context = { clock, what: `get ${key}`, signal: waiting.signal };
        return { info: content.info, body: sufferBody(content.body, fault, context) };
      }),
    head: (key, waiting) => suffer("head", key, waiting, () => store.head(key, waiting)),
    async *list(waiting) {
      await suffer("list", waiting.prefix, waiting, async () => undefined);
      yield* store.list(waiting);
    },
    delete: (keys, waiting) =>
      suffer("delete", keys[0] ?? "", waiting, () => store.delete(keys, waiting)),
    copy: (from, to, waiting) => suffer("copy", to, waiting, () => store.copy(from, to, waiting)),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

async function* sufferBody(
  body: AsyncIterable<Uint8Array>,
  fault: StoreFault | undefined,
  context: Waiting & { readonly clock: Clock; readonly what: string },
): AsyncGenerator<Uint8Array, void, undefined> {
  let passedBytes = 0;
  for await (const chunk of body) {
    if (fault?.kind === "cut" && passedBytes + chunk.length > fault.afterBytes) {
      yield chunk.subarray(0, fault.afterBytes - passedBytes);
      throw broken("body of", context.what);
    }
    if (fault?.kind === "throttle") {
      await context.clock.sleep((chunk.length / fault.bytesPerSecond) * 1000, context);
    }
    passedBytes += chunk.length;
    yield chunk;
  }
}

function broken(operation: string, key: string): HeadwaterError {
  return new HeadwaterError("store/unavailable", `Injected fault: ${operation} ${key} failed.`);
}
