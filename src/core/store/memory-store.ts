// A store in memory: the reference for what the interface means, and the store of fast tests.
import { throwIfAborted } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import { HeadwaterError } from "../base/errors.ts";
import { readBody } from "./object-body.ts";
import { checkKey } from "./object-key.ts";
import type {
  ObjectContent,
  ObjectInfo,
  ObjectStore,
  PutCondition,
  ReadOptions,
  StoreFeatures,
} from "./object-store.ts";

interface StoredObject {
  readonly info: ObjectInfo;
  /** In the pieces they came in. */
  readonly parts: readonly Uint8Array[];
}

const defaultChunkBytes = 256 * 1024;

/** An empty store. It keeps every promise of `ObjectStore` except to outlive the process. */
export function createMemoryStore({ clock }: { readonly clock: Clock }): ObjectStore {
  return new MemoryStore(clock);
}

class MemoryStore implements ObjectStore {
  readonly url = "memory:";
  readonly #clock: Clock;
  readonly #objectByKey = new Map<string, StoredObject>();
  #versions = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async features(): Promise<StoreFeatures> {
    return { createOnly: true, replaceIfUnchanged: true, listsExactTimes: true, copy: true };
  }

  async put(...[key, body, options]: Parameters<ObjectStore["put"]>): Promise<ObjectInfo> {
    checkKey(key);
    throwIfAborted(options);
    const parts: Uint8Array[] = [];
    for await (const chunk of readBody(body, key, options)) parts.push(chunk.slice());
    throwIfAborted(options);
    // From here to the end nothing waits: the check and the store are one step.
    this.#check(key, options.condition);
    return this.#store(key, parts, options.timestampMs);
  }

  async get(...[key, options]: Parameters<ObjectStore["get"]>): Promise<ObjectContent | undefined> {
    throwIfAborted(options);
    const object = this.#objectByKey.get(key);
    if (object === undefined) return undefined;
    if (options.etag !== undefined && options.etag !== object.info.etag) {
      throw changed(key);
    }
    const start = options.offset ?? 0;
    const end = start + (options.length ?? Infinity);
    return { info: object.info, body: chunks(object.parts, { start, end }, options) };
  }

  async head(...[key, options]: Parameters<ObjectStore["head"]>): Promise<ObjectInfo | undefined> {
    throwIfAborted(options);
    return this.#objectByKey.get(key)?.info;
  }

  async *list({
    prefix,
    after,
    signal,
  }: Parameters<ObjectStore["list"]>[0]): AsyncIterable<ObjectInfo> {
    throwIfAborted({ signal });
    const keys = [...this.#objectByKey.keys()].filter(
      (key) => key.startsWith(prefix) && (after === undefined || key > after),
    );
    for (const key of keys.sort()) {
      throwIfAborted({ signal });
      const object = this.#objectByKey.get(key);
      if (object !== undefined) yield object.info;
    }
  }

  async delete(...[keys, options]: Parameters<ObjectStore["delete"]>): Promise<void> {
    throwIfAborted(options);
    for (const key of keys) this.#objectByKey.delete(key);
  }

  async copy(
    ...[from, to, options]: Parameters<ObjectStore["copy"]>
  ): Promise<ObjectInfo | undefined> {
    checkKey(to);
    throwIfAborted(options);
    const source = this.#objectByKey.get(from);
    if (source === undefined) return undefined;
    if (options.etag !== undefined && options.etag !== source.info.etag) throw changed(from);
    const { timestampMs, isExactTime } = source.info;
    return this.#store(to, source.parts, isExactTime ? timestampMs : undefined);
  }

  /** Keeps its objects, as a disk would: a test may open a second engine on the same store. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #check(key: string, condition: PutCondition | undefined): void {
    const present = this.#objectByKey.get(key);
    if (condition === undefined) return;
    if (condition === "absent") {
      if (present === undefined) return;
      throw new HeadwaterError("store/exists", `There is an object ${key} already.`, {
        data: { key },
      });
    }
    if (present?.info.etag !== condition.etag) throw changed(key);
  }

  #store(key: string, parts: readonly Uint8Array[], timestampMs: number | undefined): ObjectInfo {
    this.#versions += 1;
    const info = {
      key,
      sizeBytes: parts.reduce((sum, part) => sum + part.length, 0),
      etag: `v${this.#versions}`,
      timestampMs: timestampMs ?? this.#clock.nowMs(),
      isExactTime: timestampMs !== undefined,
    };
    this.#objectByKey.set(key, { info, parts });
    return info;
  }
}

function changed(key: string): HeadwaterError {
  return new HeadwaterError("store/changed", `The object ${key} is not the version expected.`, {
    data: { key },
  });
}

/** The bytes from `start` to `end`, as far as there are any. */
async function* chunks(
  parts: readonly Uint8Array[],
  { start, end }: { readonly start: number; readonly end: number },
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { chunkBytes = defaultChunkBytes } = options;
  let partStart = 0;
  for (const part of parts) {
    const [from, to] = [Math.max(0, start - partStart), Math.min(part.length, end - partStart)];
    for (let at = from; at < to; at += chunkBytes) {
      throwIfAborted(options);
      yield part.subarray(at, Math.min(at + chunkBytes, to));
    }
    partStart += part.length;
  }
}
