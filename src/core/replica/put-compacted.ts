// Puts a compacted file: created, never replaced unless it is damaged, and an equal one that is there counts as put.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import type { ObjectBody, ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { findEqualObject } from "../store/settle-put.ts";
import type { ReplicaFile } from "./catalog.ts";
import { gone } from "./compaction-input.ts";
import { unsound } from "./verify-compacted.ts";

export interface PutCompactedOptions extends Waiting {
  readonly store: ObjectStore;
  /** Etag of a damaged object of that name, which is replaced as long as it is still that one. */
  readonly replaces?: string | undefined;
}

/** The object to make. */
export interface CompactedObject {
  readonly key: string;
  readonly body: ObjectBody;
}

/**
 * Copies the input inside the store, as it was listed. Throws `store/changed` if it is gone or another by now, `replica/gap`
 * if the copy has not its size, `engine/another-writer` if something else is there.
 */
export async function copyOnce(
  input: ReplicaFile,
  { key, body }: CompactedObject,
  options: PutCompactedOptions,
): Promise<ObjectInfo> {
  const { store, signal } = options;
  // A copy replaces what is there, so it is looked for first.
  if ((await store.head(key, options)) !== undefined) {
    return equalOrConflict({ key, body }, options);
  }
  const info = await store.copy(input.key, key, { etag: input.etag, signal });
  if (info === undefined) throw gone(input);
  if (info.sizeBytes !== input.sizeBytes) {
    throw unsound("replica/gap", { ...input, key }, `has not the size of ${input.key}`);
  }
  return info;
}

/** Puts it, or replaces the damaged one. Throws `engine/another-writer` if something else is there. */
export async function putOnce(
  { key, body, timestampMs }: CompactedObject & { readonly timestampMs: number },
  options: PutCompactedOptions,
): Promise<ObjectInfo> {
  const { store, replaces, signal } = options;
  const { createOnly, replaceIfUnchanged } = await store.features(options);
  if (replaces !== undefined) {
    if (replaceIfUnchanged) {
      return store.put(key, body, { condition: { etag: replaces }, timestampMs, signal });
    }
    // Between the two nothing of that name is there, which is no less than a file that cannot be used.
    await store.delete([key], options);
  }
  if (!createOnly) {
    const isThere = (await store.head(key, options)) !== undefined;
    return isThere
      ? equalOrConflict({ key, body }, options)
      : store.put(key, body, { timestampMs, signal });
  }
  try {
    return await store.put(key, body, { condition: "absent", timestampMs, signal });
  } catch (error) {
    if (!hasCode(error, "store/exists")) throw error;
    return equalOrConflict({ key, body }, options);
  }
}

async function equalOrConflict(
  { key, body }: CompactedObject,
  { store, signal }: PutCompactedOptions,
): Promise<ObjectInfo> {
  const info = await findEqualObject(store, key, body, { signal });
  if (info !== undefined) return info;
  throw new HeadwaterError(
    "engine/another-writer",
    `${key} in ${store.url} is there already and holds something else: another program compacts the same replica. ` +
      "Stop one of the two.",
    { data: { key, url: store.url } },
  );
}
