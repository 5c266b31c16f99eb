// Making one history of a replica and a database that may not have met: carries out what `decideAdoption` says.
// Every step can be repeated: a crash in the middle finds a replica and a state from which the same rules lead on.
import { HeadwaterError } from "../../core/base/errors.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import { formatTxid, toTxid } from "../../core/ltx/txid.ts";
import type { Capture } from "../capture/capture.ts";
import type { PageSource } from "../capture/capture-types.ts";
import { decideAdoption } from "./adoption.ts";
import { putSnapshot } from "./first-image.ts";
import { scan } from "./image.ts";
import { setAsideLitestream } from "./litestream-beside.ts";
import type { ReplicaParts } from "./parts.ts";
import { waitForQuiet } from "./quiet-head.ts";
import { checkPageSize, hasPlan } from "./replica-survey.ts";
import type { ReplicaHead, ReplicaSurvey } from "./replica-survey.ts";
import { followSource, scrub } from "./scrub.ts";
import { isStagedHere } from "./staged-here.ts";
import { setStagedAside } from "./staging-keeper.ts";
import type { Waiting } from "./waiting.ts";

/**
 * Lists the replica and brings replica, staged files and source to one history. Afterwards the head's pages are the
 * source's at the captured position and everything staged continues the replica.
 */
export async function settle(
  parts: ReplicaParts,
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  const { link, staging, logger } = parts;
  const survey = await link.survey(waiting);
  await checkHistoryPageSize(parts, survey.head, capture);
  const isFenced = await setAsideLitestream(parts, survey, waiting);
  const isImageStaged = staging.images.waiting !== undefined && staging.newest !== undefined;
  if (survey.head === undefined && isImageStaged) return followSource(parts, capture, waiting);
  let source: PageSource | undefined;
  try {
    const { head } = survey;
    const isHeadStagedHere = await isStagedHere(parts, head, waiting);
    const restored = isHeadStagedHere
      ? undefined
      : await sourceAtHead(parts, capture, head, waiting);
    source = restored?.source;
    const adoption = decideAdoption({
      hasHead: head !== undefined,
      hasStaged: staging.newest !== undefined,
      isHeadStagedHere,
      isSourceAtHead: restored !== undefined,
      isWriterKnown: isFenced || head?.header.nodeId === parts.state.nodeId,
      takeOver: parts.takeOver,
    });
    logger.log("info", "replica.adopted", {
      rule: adoption,
      head: head === undefined ? undefined : formatTxid(head.txid),
    });
    switch (adoption) {
      case "first-image":
        return await firstImage(parts, capture, waiting);
      case "image-of-held":
        return await imageOfHeld(parts, capture, waiting);
      case "continue":
        return await continueStaged(parts, capture, survey, waiting);
      case "continue-restored":
        return await continueRestored(parts, required(head), required(restored), waiting);
      case "wait-then-take-over":
        await waitForQuiet(parts, required(head), waiting);
        return await settle({ ...parts, takeOver: true }, capture, waiting);
      case "take-over":
        return await takeOver(parts, capture, survey, waiting);
    }
  } finally {
    source?.release();
  }
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("Headwater bug: an adoption rule without its facts");
  return value;
}

/** The pages are as in the replica or, where that is empty, in what is staged for it. */
async function checkHistoryPageSize(
  parts: ReplicaParts,
  head: ReplicaHead | undefined,
  capture: Capture,
): Promise<void> {
  const { staging } = parts;
  const header =
    head?.header ??
    (staging.newest === undefined ? undefined : await staging.readHeader(staging.newest));
  if (header === undefined) return;
  const place = { path: parts.path, url: parts.link.store.url };
  checkPageSize(place, { was: header.pageSize, is: capture.pageSize });
}

export interface RestoredSource {
  readonly source: PageSource;
  readonly table: Awaited<ReturnType<typeof scan>>;
}

/** Rule (b): the source has exactly the pages that the head proves. Keeps it pinned if so. */
export async function sourceAtHead(
  { codec }: ReplicaParts,
  capture: Capture,
  head: ReplicaHead | undefined,
  waiting: Waiting,
): Promise<RestoredSource | undefined> {
  const after = head?.header.proof?.after ?? 0n;
  if (after === 0n || head?.header.commit !== capture.commit) return undefined;
  const source = await capture.pinImage(waiting);
  try {
    const table = await scan(codec, source, waiting);
    if (table.databaseChecksum === after) return { source, table };
  } catch (error) {
    source.release();
    throw error;
  }
  source.release();
  return undefined;
}

async function firstImage(parts: ReplicaParts, capture: Capture, waiting: Waiting): Promise<void> {
  const { history, link, clock, staging } = parts;
  await link.forget();
  // One that was finished locally, but a crash came before its level-0 file.
  await staging.images.remove();
  const source = await capture.pinImage(waiting);
  try {
    const table = await scan(parts.codec, source, waiting);
    const head = { txid: toTxid(1), after: table.databaseChecksum, timestampMs: clock.nowMs() };
    const pageOne = keepPageOne(source);
    await putSnapshot(parts, capture, source, { head, table, ...waiting });
    history.continueAfter(head, table);
    await history.stageChanges(pageOne, Uint32Array.of(1), waiting);
  } finally {
    source.release();
  }
}

/** Page 1 of a source, kept beyond its release. */
function keepPageOne(source: PageSource): PageSource {
  const page = new Uint8Array(source.pageSize);
  source.readPages(Uint32Array.of(1), 0, 1, page);
  const { pageSize, commit, position } = source;
  return {
    pageSize,
    commit,
    position,
    readPages: (_list, _from, _count, into) => into.set(page),
    release: () => {},
  };
}

async function imageOfHeld(parts: ReplicaParts, capture: Capture, waiting: Waiting): Promise<void> {
  await parts.link.forget();
  await putSnapshotOfHeld(parts, capture, waiting);
}

/** Level 9 of what we hold; the uploader then puts the level-0 file of the same TXID from staging. */
async function putSnapshotOfHeld(
  parts: ReplicaParts,
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  const source = await scrub(parts, capture, waiting);
  const { head, table } = parts.history;
  await putSnapshot(parts, capture, source, {
    head: required(head),
    table: required(table),
    ...waiting,
  });
}

async function continueStaged(
  parts: ReplicaParts,
  capture: Capture,
  survey: ReplicaSurvey,
  waiting: Waiting,
): Promise<void> {
  await parts.link.adopt(required(survey.head?.single));
  await followSource(parts, capture, waiting);
  if (!hasPlan(survey)) await putSnapshotOfHeld(parts, capture, waiting);
}

/** Rule (b): continues after the head of a replica whose pages the source has. */
export async function continueRestored(
  parts: ReplicaParts,
  head: ReplicaHead,
  { source, table }: RestoredSource,
  waiting: Waiting,
): Promise<void> {
  const { history, link } = parts;
  await setStagedAside(parts);
  const { timestampMs } = head.header;
  if (head.single !== undefined) await stageHead(parts, head, source, waiting);
  history.continueAfter({ txid: head.txid, after: table.databaseChecksum, timestampMs }, table);
  await link.adopt(head.single ?? head.file);
  // The newest TXID has to exist as a single level-0 file.
  if (head.single === undefined) await history.stageChanges(source, Uint32Array.of(1), waiting);
}

/** Fetches the head's level-0 file as our newest staged one. */
async function stageHead(
  parts: ReplicaParts,
  head: ReplicaHead,
  source: PageSource,
  { signal }: Waiting,
): Promise<void> {
  const { staging, link, codec } = parts;
  const { key } = required(head.single);
  const content = await link.store.get(key, { signal });
  if (content === undefined) {
    throw new HeadwaterError("store/changed", `${key} vanished while it was read. Start again.`, {
      data: { key },
    });
  }
  const file = await staging.stage({
    txid: head.txid,
    position: source.position,
    chunks: content.body,
  });
  try {
    const reader = await openLtx(codec, staging.body(file).open({ signal }), { name: key, signal });
    for await (const batch of reader.pages()) void batch;
  } catch (error) {
    await setStagedAside(parts);
    throw error;
  }
}

/**
 * A full image at head + 1. Where the replica has no plan up to its head, a snapshot of the same TXID is put first:
 * whenever we are interrupted, the replica is either as before or can be restored.
 */
async function takeOver(
  parts: ReplicaParts,
  capture: Capture,
  survey: ReplicaSurvey,
  waiting: Waiting,
): Promise<void> {
  const { history, link } = parts;
  const head = required(survey.head);
  await link.forget();
  await setStagedAside(parts);
  const { proof, timestampMs } = head.header;
  history.continueAfter({ txid: head.txid, after: proof?.after ?? 0n, timestampMs }, undefined);
  const source = await capture.pinImage(waiting);
  try {
    await history.stageImage(source, waiting);
    if (hasPlan(survey)) return await link.adopt(head.file);
    const of = { head: required(history.head), table: required(history.table) };
    await putSnapshot(parts, capture, source, { ...of, ...waiting });
  } finally {
    source.release();
  }
}
