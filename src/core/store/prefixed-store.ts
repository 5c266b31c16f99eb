// A part of a store as a store of its own.
import type { ObjectContent, ObjectInfo, ObjectStore } from "./object-store.ts";
import { checkKey } from "./object-key.ts";

/** The objects of `store` whose keys begin with `prefix` (as a rule ending in `/`), under the rest of their keys. */
export function createPrefixedStore(store: ObjectStore, prefix: string): ObjectStore {
  const outer = (key: string): string => prefix + key;
  const inner = (info: ObjectInfo): ObjectInfo => ({ ...info, key: info.key.slice(prefix.length) });
  return {
    url: `${store.url.replace(/\/$/, "")}/${prefix}`,
    features: (options) => store.features(options),
    put: async (key, body, options) => {
      checkKey(key);
      return inner(await store.put(outer(key), body, options));
    },
    get: async (key, options): Promise<ObjectContent | undefined> => {
      const content = await store.get(outer(key), options);
      return content && { info: inner(content.info), body: content.body };
    },
    head: async (key, options) => {
      const info = await store.head(outer(key), options);
      return info && inner(info);
    },
    async *list(options) {
      const after = options.after === undefined ? undefined : outer(options.after);
      for await (const info of store.list({ ...options, prefix: outer(options.prefix), after })) {
        yield inner(info);
      }
    },
    delete: (keys, options) => store.delete(keys.map(outer), options),
    copy: async (from, to, options) => {
      checkKey(to);
      const info = await store.copy(outer(from), outer(to), options);
      return info && inner(info);
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
