// The first image of a replica: level 9, TXID 1, streamed from the live database with bounded memory and no copy
// on local disk. The position stays pinned meanwhile, so the WAL grows; if it grows past `max-wal-size` the stream
// is given up and the image is finished on local disk, which frees the WAL, and uploaded from there.
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { Capture } from "../capture/capture.ts";
import type { PageSource } from "../capture/capture-types.ts";
import { isDiskFull } from "./history.ts";
import type { HistoryHead } from "./history.ts";
import { imageBody } from "./image.ts";
import type { ReplicaParts } from "./parts.ts";
import type { PutRequest } from "./replica-link.ts";
import { retryStore } from "./retry-store.ts";
import type { Waiting } from "./waiting.ts";
import { unlessWalGrows } from "./wal-limit.ts";

/** Level of full images. */
export const snapshotLevel = 9;

export interface SnapshotOptions extends Waiting {
  /** The TXID whose pages the source has, and their checksums. */
  readonly head: HistoryHead;
  readonly table: PageChecksums;
}

/** Puts the snapshot `1-txid` of `source`, or stages it for the uploader. Releases `source`. */
export async function putSnapshot(
  parts: ReplicaParts,
  capture: Capture,
  source: PageSource,
  { head, table, signal }: SnapshotOptions,
): Promise<void> {
  const { history, codec, staging, logger, link } = parts;
  const header = history.snapshotHeader(source, head);
  const body = imageBody(codec, header, source, table);
  try {
    // Tried again with the image still pinned: deciding anew would read the whole database once more.
    const request = requestOf(header, body);
    const stream = (): Promise<boolean> =>
      streamUnlessWalGrows(parts, capture, request, { signal });
    if (await retryStore(parts, { signal }, stream)) return;
    try {
      const { sizeBytes } = await staging.images.stage(header, body.open({ signal }));
      logger.log("warn", "image.staged-locally", { sizeBytes, walSizeBytes: capture.walSizeBytes });
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      // Then the WAL has to grow: it is the smaller evil, and the image can still be streamed.
      logger.log("error", "disk.full", { staging: "first image" });
      await retryStore(parts, { signal }, () => link.create(request, { signal }));
    }
  } finally {
    source.release();
  }
}

function requestOf({ minTxid, maxTxid, timestampMs }: LtxHeader, body: ObjectBody): PutRequest {
  return { level: snapshotLevel, minTxid, maxTxid, timestampMs, body };
}

/** Puts an image from the live database. False if that was given up because of the WAL's size. */
export async function streamUnlessWalGrows(
  parts: ReplicaParts,
  capture: Capture,
  request: PutRequest,
  waiting: Waiting,
): Promise<boolean> {
  const create = async (limited: Waiting): Promise<true> => {
    await parts.link.create(request, limited);
    return true;
  };
  return (await unlessWalGrows(parts, capture, create, waiting)) ?? false;
}
