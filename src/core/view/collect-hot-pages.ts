// Makes what hot-pages.ts describes: as a reader would fetch these pages, keeping the frames they came in.
import type { Waiting } from "../base/async.ts";
import { silentLogger } from "../base/log.ts";
import type { Codec } from "../codec/codec.ts";
import type { ReplicaLayout } from "../replica/layout.ts";
import { toTxid } from "../ltx/txid.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { Fetcher, fetchDefaults } from "./fetcher.ts";
import { minTailBytes } from "./file-index.ts";
import type { ViewFile } from "./file-table.ts";
import { FrameCache } from "./frame-cache.ts";
import type { HotFrame, HotPages } from "./hot-pages.ts";
import type { FrameIdentity, PersistentFrames } from "./persistent-frames.ts";
import { ViewPlanner } from "./view-planner.ts";

/** Frames beyond it are left out: readers fetch the object when they open the replica. */
const maxFrameBytes = 4 * 1024 * 1024;

/** More than fit into that. */
const maxPrefetchPages = 4096;

/** Memory for the pages meanwhile. */
const cacheBytes = 32 * 1024 * 1024;

export interface CollectOptions extends Waiting {
  readonly store: ObjectStore;
  readonly layout: ReplicaLayout;
  readonly codec: Codec;
  readonly files: readonly ViewFile[];
}

/**
 * Reads the pages of the newest state of `files`. Small files are read whole by every reader, so theirs are left out; `undefined` if
 * nothing is left. Throws as a reader of the replica does.
 */
export async function collectHotPages({
  store,
  layout,
  codec,
  files,
  signal,
}: CollectOptions): Promise<HotPages | undefined> {
  if (files.every(({ sizeBytes }) => sizeBytes <= minTailBytes)) return undefined;
  const planner = new ViewPlanner({ store, layout, codec, list: async () => files });
  const { map, seeds } = await planner.build({ kind: "latest" }, { signal });
  const { pageSize } = map;
  const collector = new FrameCollector();
  await using fetcher = new Fetcher({
    store,
    codec,
    files: planner.files,
    proofs: planner.proofs,
    cache: FrameCache.create({ pageSize, capacityBytes: cacheBytes }),
    logger: silentLogger,
    limits: { ...fetchDefaults, maxPrefetchPages },
    persistent: collector,
  });
  // Others hold pages that are to be collected.
  for (const seed of seeds) if (seed.isWhole) await fetcher.seed(map, seed);
  await fetcher.prefetch(map, { signal });
  await fetcher.loader.idle();
  const { frames } = collector;
  return frames.length === 0 ? undefined : { txid: toTxid(map.txid), pageSize, frames };
}

/** Has nothing, and takes what comes. */
class FrameCollector implements PersistentFrames {
  readonly frames: HotFrame[] = [];
  #sizeBytes = 0;

  get(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async put({ key, etag, offset }: FrameIdentity, bytes: Uint8Array): Promise<void> {
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes > maxFrameBytes) return;
    this.frames.push({ key, etag, offset, bytes: bytes.slice() });
  }
}
