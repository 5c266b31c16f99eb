// A second thread that reads a frame cache while the first writes it: every page must be of one byte, that of its frame.
import { parentPort, workerData } from "node:worker_threads";
import { FrameCache, type SharedFrameCache } from "../../src/core/view/frame-cache.ts";

interface Work {
  readonly cache: SharedFrameCache;
  /** Pages read so far. */
  readonly counts: Int32Array;
  readonly frames: number;
  readonly reads: number;
}

function countTorn({ cache: shared, counts, frames, reads }: Work): number {
  const cache = FrameCache.fromShared(shared);
  const page = new Uint8Array(cache.pageSize);
  let torn = 0;
  for (let n = 0; Atomics.load(counts, 0) < reads; n++) {
    const value = n % frames;
    if (cache.read({ file: 0, offset: value, sizeBytes: 100 }, page) === "miss") continue;
    if (page.some((byte) => byte !== value)) torn++;
    Atomics.add(counts, 0, 1);
  }
  return torn;
}

// A port of a worker has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
parentPort?.postMessage({ torn: countTorn(workerData as Work) });
