// One of several replicas is brought to the history that this database has. The history is ours already and other
// replicas go on with it; so this one never changes it, except that TXIDs are numbered above everything found here.
import { must } from "../../core/base/assert.ts";
import { formatTxid, nextTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { encodeFrom, imageBody } from "./image.ts";
import type { PinnedHead, PrepareImage } from "./image-taker.ts";
import { setAsideLitestream } from "./litestream-beside.ts";
import type { ReplicaParts } from "./parts.ts";
import { waitForQuiet } from "./quiet-head.ts";
import { putImages, putRequest, snapshotOf } from "./replica-image.ts";
import type { PutRequest } from "./replica-link.ts";
import { checkPageSize, hasPlan } from "./replica-survey.ts";
import type { ReplicaHead, ReplicaSurvey } from "./replica-survey.ts";
import type { Stager } from "./stager.ts";
import { isStagedHere } from "./staged-here.ts";
import type { Waiting } from "./waiting.ts";

/** What following needs of the engine. */
export interface Following {
  readonly stager: Stager;
  /** Staged files after this TXID have to stay for the replica. */
  readonly hold: (after: bigint) => void;
}

/**
 * Lists the replica and leads it to our history. Afterwards its record says where it is, and the staged files continue
 * from there. Can be repeated after any interruption.
 */
export async function follow(
  parts: ReplicaParts,
  following: Following,
  waiting: Waiting,
): Promise<void> {
  const { link, logger } = parts;
  const { stager } = following;
  const survey = await link.survey(waiting);
  const { head } = survey;
  const isFenced = await setAsideLitestream(parts, survey, waiting);
  const log = (rule: string): void =>
    logger.log("info", "replica.adopted", { rule, head: head && formatTxid(head.txid) });
  if (head === undefined) {
    log("image-of-held");
    await link.forget();
    return stager.putImage(snapshotOfHeld(parts, following), waiting);
  }
  const place = { path: parts.path, url: link.store.url };
  checkPageSize(place, { was: head.header.pageSize, is: stager.capture.pageSize });
  if (await isContinued(parts, head, waiting)) {
    log("continue");
    if (hasPlan(survey)) return;
    return stager.putImage(snapshotOfHeld(parts, following), waiting);
  }
  const isWriterKnown = isFenced || isRecorded(parts, head) || isOurs(parts, head);
  if (!isWriterKnown && !parts.takeOver) {
    log("wait-then-take-over");
    await waitForQuiet(parts, head, waiting);
    return follow({ ...parts, takeOver: true }, following, waiting);
  }
  log("bridge");
  await link.forget();
  await stager.putImage(bridge(parts, following, survey), waiting);
}

/** The node id is ours, or the pages are those of our own head. */
function isOurs({ state, history }: ReplicaParts, { header }: ReplicaHead): boolean {
  const after = header.proof?.after ?? 0n;
  return header.nodeId === state.nodeId || (after !== 0n && after === history.head?.after);
}

/** The head is our last acknowledged object. */
function isRecorded({ link }: ReplicaParts, { file }: ReplicaHead): boolean {
  const { record } = link;
  return (
    record !== undefined &&
    link.keyOf(record) === file.key &&
    record.etag === file.etag &&
    record.sizeBytes === file.sizeBytes
  );
}

/** The head is a file of ours, and what is staged continues it. Then the record says so. */
async function isContinued(
  parts: ReplicaParts,
  head: ReplicaHead,
  waiting: Waiting,
): Promise<boolean> {
  const { link, staging } = parts;
  if (await isStagedHere(parts, head, waiting)) {
    await link.adopt(must(head.single, "the level-0 file of the head"));
    return true;
  }
  if (!isRecorded(parts, head)) return false;
  const next = staging.files.find((file) => file.txid > head.txid);
  const isContinuous = next === undefined || next.minTxid === nextTxid(head.txid);
  // What was acknowledged last may be more than we hold: then our state is older than the replica.
  return isContinuous && staging.newest !== undefined && staging.newest.txid >= head.txid;
}

/** Level 9 of what we hold; the uploader then puts the level-0 file of the same TXID from staging. */
function snapshotOfHeld(parts: ReplicaParts, { hold }: Following): PrepareImage {
  return async (capture, pinned) => {
    // A replica that is behind gets what follows its own head, and the image beside it.
    hold((parts.link.record?.maxTxid ?? pinned.head.txid) - 1n);
    const request = snapshotOf(parts, pinned);
    return (waiting) => putImages(parts, capture, pinned.source, [request], waiting);
  };
}

/**
 * A level-0 file from the replica's head to ours that holds every page, or only one if the two are equal already. Where
 * the replica has no plan up to its head, a full image of the same TXID is put first: whenever we are interrupted, the
 * replica is either as before or can be restored. What is staged next changes nothing, so that the newest TXID exists
 * as a single file.
 */
function bridge(parts: ReplicaParts, { hold }: Following, survey: ReplicaSurvey): PrepareImage {
  const { history, codec } = parts;
  const { txid, header } = must(survey.head, "the head of the replica");
  const base = { txid, after: header.proof?.after ?? 0n, timestampMs: header.timestampMs };
  return async (capture, pinned, preparing) => {
    const { source, table } = pinned;
    const timestampMs = Math.max(history.nextTimestampMs(), base.timestampMs + 1);
    history.continueAfter({ ...pinned.head, timestampMs }, history.table);
    const end = laterOf(pinned.head.txid, nextTxid(base.txid));
    if (end > pinned.head.txid) await history.stageSkip(source, end, preparing);
    await history.stageChanges(source, Uint32Array.of(1), preparing);
    hold(end);
    const head = { ...pinned.head, txid: end, timestampMs };
    const bridgeHeader = history.bridgeHeader(source, base, head);
    const isEqual = base.after !== 0n && base.after === head.after;
    const pgnos = Uint32Array.of(1);
    const body = isEqual
      ? {
          sizeBytes: undefined,
          open: () =>
            encodeFrom(codec, bridgeHeader, source, { pgnos, pagesChecksum: table.get(1) }),
        }
      : imageBody(codec, bridgeHeader, source, table);
    const images = [
      ...(hasPlan(survey) ? [] : [imageBeside(parts, { ...pinned, head })]),
      putRequest(0, bridgeHeader, body),
    ];
    return (waiting) => putImages(parts, capture, source, images, waiting);
  };
}

function imageBeside(parts: ReplicaParts, pinned: PinnedHead): PutRequest {
  return { ...snapshotOf(parts, pinned), isBeside: true };
}

function laterOf(one: Txid, other: Txid): Txid {
  return one > other ? one : other;
}
