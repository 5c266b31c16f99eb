// Full images for a replica that others do not wait for. Each is tried once: whoever wants it comes again, and an image
// that stays pinned while a store is away would let the WAL grow and keep the other replicas from theirs.
import { formatLtxName } from "../../core/ltx/file-name.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { Capture } from "../capture/capture.ts";
import type { PageSource } from "../capture/capture-types.ts";
import { snapshotLevel, streamUnlessWalGrows } from "./first-image.ts";
import { isDiskFull } from "./history.ts";
import { imageBody } from "./image.ts";
import type { PinnedHead } from "./image-taker.ts";
import type { ReplicaParts } from "./parts.ts";
import type { PutRequest } from "./replica-link.ts";
import type { Waiting } from "./waiting.ts";

/** The snapshot `1-txid` of what is pinned, as it is put at level 9. */
export function snapshotOf(
  { history, codec }: ReplicaParts,
  { source, head, table }: PinnedHead,
): PutRequest {
  const header = history.snapshotHeader(source, head);
  return putRequest(snapshotLevel, header, imageBody(codec, header, source, table));
}

export function putRequest(level: number, header: LtxHeader, body: ObjectBody): PutRequest {
  const { minTxid, maxTxid, timestampMs } = header;
  return { level, minTxid, maxTxid, timestampMs, body };
}

/** Puts images of `source`, one after the other, and releases it. */
export async function putImages(
  parts: ReplicaParts,
  capture: Capture,
  source: PageSource,
  requests: readonly PutRequest[],
  waiting: Waiting,
): Promise<void> {
  try {
    for (const [index, request] of requests.entries()) {
      if (await streamUnlessWalGrows(parts, capture, request, waiting)) continue;
      return await putFromDisk(parts, source, requests.slice(index), waiting);
    }
  } finally {
    source.release();
  }
}

/** Writes the images to local disk, which frees the WAL, and puts them from there. */
async function putFromDisk(
  { staging, link, logger }: ReplicaParts,
  source: PageSource,
  requests: readonly PutRequest[],
  { signal }: Waiting,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const held: PutRequest[] = [];
  try {
    for (const request of requests) {
      const name = formatLtxName(request.minTxid, request.maxTxid);
      const image = stack.use(await staging.images.hold(name, request.body.open({ signal })));
      held.push({ ...request, body: image.body });
    }
    source.release();
    logger.log("warn", "image.held-locally", { images: held.length });
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    // Then the WAL has to grow: it is the smaller evil, and the images can still be streamed.
    logger.log("error", "disk.full", { staging: "full image" });
    held.splice(0, held.length, ...requests);
  }
  for (const request of held) await link.create(request, { signal });
}
