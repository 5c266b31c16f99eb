// Which replicas lie below one URL: every path there that holds LTX files, or a backup of Litestream 0.3. The listing alone
// tells, so a machine that has lost its databases finds all of them again.
import type { Waiting } from "../base/async.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { isGenerationKey } from "./generations.ts";
import { type ReplicaLayout, maxLevel } from "./layout.ts";

/** Paths below the root of `store`, without slashes at their ends, in the order of their keys. The root itself is none. */
export async function listReplicaPaths(
  store: ObjectStore,
  layout: ReplicaLayout,
  { signal }: Waiting,
): Promise<readonly string[]> {
  const found = new Set<string>();
  let after: string | undefined;
  for (;;) {
    const place = await nextPlace(store, layout, { after, signal });
    if (place === undefined) return [...found];
    found.add(place.path);
    after = place.end;
  }
}

interface Place {
  readonly path: string;
  /** Lies behind the keys of the replica's files, which are not looked at one by one. */
  readonly end: string;
}

async function nextPlace(
  store: ObjectStore,
  layout: ReplicaLayout,
  { after, signal }: Waiting & { readonly after: string | undefined },
): Promise<Place | undefined> {
  for await (const { key } of store.list({ prefix: "", after, signal })) {
    const place = placeOf(key, layout);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** Where the replica begins in a key: the rest after some slash is the name of one of its files. */
function placeOf(key: string, layout: ReplicaLayout): Place | undefined {
  for (let slash = key.indexOf("/"); slash > 0; slash = key.indexOf("/", slash + 1)) {
    const path = key.slice(0, slash);
    const name = key.slice(slash + 1);
    if (layout.parse(name) !== undefined) {
      return { path, end: behind(`${path}/${layout.levelPrefix(maxLevel)}`) };
    }
    if (isGenerationKey(name)) return { path, end: behind(`${path}/generations/`) };
  }
  return undefined;
}

/** After every key that begins with `prefix`, which ends with a slash, and before any other that comes later. */
function behind(prefix: string): string {
  return `${prefix.slice(0, -1)}0`;
}
