// Comparing the live database with the page-checksum table and staging what differs: after a gap, after a restart
// that is no exact resume, and before a full image of what we hold.
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Capture } from "../capture/capture.ts";
import type { PageSource } from "../capture/capture-types.ts";
import { must } from "../../core/base/assert.ts";
import { differingPgnos, scan } from "./image.ts";
import type { EngineParts } from "./parts.ts";
import type { Waiting } from "./waiting.ts";

/**
 * Makes the head equal to the source at a pinned position: nothing if they are equal already, the differing pages
 * if the table is known, a full image otherwise. The caller releases the returned source.
 */
export async function scrub(
  parts: EngineParts,
  capture: Capture,
  waiting: Waiting,
): Promise<PageSource> {
  const source = await capture.pinImage(waiting);
  try {
    await bringHeadTo(parts, source, waiting);
    return source;
  } catch (error) {
    source.release();
    throw error;
  }
}

async function bringHeadTo(
  parts: EngineParts,
  source: PageSource,
  waiting: Waiting,
): Promise<void> {
  const { codec, history, staging, logger } = parts;
  const startedMs = parts.clock.monotonicMs();
  const current = await scan(codec, source, waiting);
  const head = must(history.head, "the head to compare with");
  const { table } = history;
  const scanMs = Math.round(parts.clock.monotonicMs() - startedMs);
  if (
    current.databaseChecksum === head.after &&
    (table === undefined || table.commit === current.commit)
  ) {
    history.continueAfter(head, current);
    await staging.movePosition(head.txid, source.position);
    logger.log("info", "source.unchanged", {
      txid: formatTxid(head.txid),
      pages: source.commit,
      scanMs,
    });
    return;
  }
  if (table === undefined) {
    const file = await history.stageImage(source, waiting);
    logger.log("warn", "source.full-image", {
      txid: formatTxid(file.txid),
      pages: source.commit,
      scanMs,
    });
    return;
  }
  const differing = differingPgnos(table, current, source.pageSize);
  const pgnos = differing.length === 0 ? Uint32Array.of(1) : differing;
  const file = await history.stageChanges(source, pgnos, waiting);
  logger.log("info", "source.differed", {
    txid: formatTxid(file.txid),
    pages: pgnos.length,
    scanMs,
  });
}
