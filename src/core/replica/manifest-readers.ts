// What those who read a replica by its manifest may still ask for: files that it names, and files that it has left out only
// just now, because readers have the manifest before it for some time yet. For whoever deletes and has not written it.
import type { Waiting } from "../base/async.ts";
import { hasCode } from "../base/errors.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { type Manifest, manifestKey } from "./manifest.ts";
import { readManifestBytes } from "./manifest-reader.ts";
import { parseManifest } from "./parse-manifest.ts";

/** The manifest as it lies in a replica. */
export interface PublishedManifest {
  /** When it was put. */
  readonly writtenAtMs: number;
  /** `undefined`: it is damaged. Nobody reads by it, but some may by the one before. */
  readonly manifest: Manifest | undefined;
}

/**
 * The manifest of a replica; `undefined` if there is none of ours. Throws `replica/manifest` for one of a version to come,
 * and what the store throws.
 */
export async function readPublishedManifest(
  store: ObjectStore,
  { signal }: Waiting,
): Promise<PublishedManifest | undefined> {
  const content = await store.get(manifestKey, { signal });
  if (content === undefined) return undefined;
  const writtenAtMs = content.info.timestampMs;
  try {
    const bytes = await readManifestBytes(content, store.url);
    return { writtenAtMs, manifest: parseManifest(bytes, store.url) };
  } catch (error) {
    if (!hasCode(error, "replica/manifest") || error.data["reason"] === "newer") throw error;
    return error.data["reason"] === "foreign" ? undefined : { writtenAtMs, manifest: undefined };
  }
}

/** Whether readers may still ask for a file by a manifest that is no older than `graceMs`. */
export function heldByReaders(
  published: PublishedManifest | undefined,
  { graceMs, nowMs }: { readonly graceMs: number; readonly nowMs: number },
): (file: ReplicaFile) => boolean {
  if (published === undefined) return () => false;
  const { writtenAtMs, manifest } = published;
  const named = new Set(manifest?.files.map(({ key }) => key));
  const sinceMsByKey = new Map(manifest?.withdrawn?.map(({ key, sinceMs }) => [key, sinceMs]));
  return ({ key }) => named.has(key) || nowMs - (sinceMsByKey.get(key) ?? writtenAtMs) < graceMs;
}
