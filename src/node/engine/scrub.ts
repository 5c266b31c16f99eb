// Comparing the live database with the page-checksum table and staging what differs: after a gap, after a restart
// that is no exact resume, and before a full image of what we hold.
import { formatTxid } from "../../core/ltx/txid.ts";
import type { Capture } from "../capture/capture.ts";
import type { PageSource } from "../capture/capture-types.ts";
import { must } from "../../core/base/assert.ts";
import { checksumsOf, differingPgnos, scan } from "./image.ts";
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

/** The head is staged; brings it to where the source is unless capture goes on exactly there. */
export async function followSource(
  parts: EngineParts,
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  if (capture.resumed && parts.history.table !== undefined) return;
  const source = await scrub(parts, capture, waiting);
  source.release();
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
    const { newest } = staging;
    // The newest TXID has to exist as a single file. A crash came between a skip and what follows it.
    if (newest !== undefined && newest.minTxid < newest.txid)
      await history.stageChanges(source, Uint32Array.of(1), waiting);
    else await staging.movePosition(head.txid, source.position);
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

/**
 * Stages those of the pages that differ from the page-checksum table, as the TXID after the head, which the source is
 * pinned at. Returns their numbers. `always`: the first page if none differs, for a TXID that has to be new.
 */
export async function stageDiffering(
  { codec, history }: EngineParts,
  source: PageSource,
  pgnos: Uint32Array,
  { always, signal }: Waiting & { readonly always: boolean },
): Promise<Uint32Array> {
  const table = must(history.table, "the page-checksum table");
  const inside = pgnos.filter((pgno) => pgno <= source.commit);
  const sums = await checksumsOf(codec, source, inside, { signal });
  const differing = inside.filter((pgno, i) => sums[i] !== table.get(pgno));
  const staged = differing.length === 0 && always ? Uint32Array.of(1) : differing;
  if (staged.length > 0) await history.stageChanges(source, staged, { signal });
  return differing;
}
