// From nothing to an attached database whose replica is one history with it. Waits for what may come (a database that
// is missing, empty or locked; a store that does not answer), throws what waiting cannot mend.
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import { openCapture } from "../capture/capture.ts";
import type { Capture } from "../capture/capture.ts";
import type { RestFacts } from "../capture/rest.ts";
import { hasLitestream } from "./litestream-beside.ts";
import type { EngineParts, ReplicaParts } from "./parts.ts";
import { readRestRecord } from "./rest-record.ts";
import { retryStore } from "./retry-store.ts";
import { checkPageSize } from "./replica-survey.ts";
import type { ReplicaWorker } from "./replica-worker.ts";
import { followSource } from "./scrub.ts";
import { settle } from "./settle.ts";
import type { StagedFile } from "./staging.ts";
import type { Waiting } from "./waiting.ts";

/** How often a missing or locked database is looked at again. */
const attachRetryMs = 1_000;

/** An application that closes its database locks it for a moment: the first tries follow each other closer. */
const lockedRetryMs = 8;

/** A gap while the source is compared is answered by a new position, so often. */
const gapAttempts = 3;

/** Opens the capture at the newest staged position, waiting for a database; `onWaiting` is told that it waits. */
export async function openCaptureWhenThere(
  parts: EngineParts,
  { signal, onWaiting }: Waiting & { readonly onWaiting: () => void },
): Promise<Capture> {
  const { path, clock, logger, staging } = parts;
  const startedMs = clock.monotonicMs();
  let waitingFor: string | undefined;
  for (let attempt = 0; ; attempt++) {
    try {
      const resumeAt = staging.newest && (await staging.readPosition(staging.newest.txid));
      const atRest = await restFactsOfHead(parts);
      const capture = await openCapture({ path, clock, logger, signal, resumeAt, atRest });
      const { resumed, pageSize } = capture;
      if (resumed) staging.continueAt(capture.start);
      const level = parts.endedRest === undefined ? "info" : "debug";
      logger.log(level, "database.attached", { path, resumed, pageSize });
      return capture;
    } catch (error) {
      const canWait = hasCode(error, "capture/gone", "capture/empty", "capture/locked");
      if (!canWait || parts.once) throw error;
      const isShort =
        error.code === "capture/locked" && clock.monotonicMs() - startedMs < attachRetryMs;
      if (waitingFor !== error.code && !isShort) {
        logger.log("warn", "database.waiting", { path, why: error.message });
        waitingFor = error.code;
      }
      onWaiting();
      await clock.sleep(isShort ? lockedRetryMs * 2 ** attempt : attachRetryMs, { signal });
    }
  }
}

/** What the files were like when the database file alone was the head, if anybody has seen that. */
async function restFactsOfHead({
  history: { head },
  fileSystem,
  state,
}: EngineParts): Promise<RestFacts | undefined> {
  if (head === undefined || head.after === 0n) return undefined;
  const record = await readRestRecord({ fileSystem, stateDirectory: state.path });
  return record?.after === head.after && record.txid === head.txid ? record.facts : undefined;
}

/**
 * Makes one history of the attached database and its replica. With intact local state that needs no request; otherwise
 * the replica is listed and the rules of adoption decide, while nothing is put.
 */
export async function joinHistory(
  replica: ReplicaWorker,
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  const { parts } = replica;
  const { staging } = parts;
  const { newest } = staging;
  const isTrusted = isStateIntact(parts) && !hasLitestream(parts);
  if (!isTrusted || newest === undefined) {
    return replica.whilePaused(() => settleAgain(parts, capture, waiting));
  }
  await continueStaged(parts, { newest, url: parts.link.store.url }, capture, waiting);
}

/** Stages what the database has become since the newest staged file. */
export async function continueStaged(
  parts: EngineParts,
  { newest, url }: { readonly newest: StagedFile; readonly url: string },
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  const { pageSize } = await parts.staging.readHeader(newest);
  checkPageSize({ path: parts.path, url }, { was: pageSize, is: capture.pageSize });
  await afterGaps(parts, capture, waiting, () => followSource(parts, capture, waiting));
}

/** Takes the lease, lists the replica and decides anew; waits for a store that does not answer. */
export async function settleAgain(
  parts: ReplicaParts,
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  // A first image can take hours, in which nothing else would show that we are at work.
  await retryStore(parts, waiting, () =>
    parts.link.lease.during(
      (leased) => afterGaps(parts, capture, leased, () => settle(parts, capture, leased)),
      waiting,
    ),
  );
}

/** Runs `work`; after a gap finds the position anew and runs it again. */
export async function afterGaps(
  { logger }: EngineParts,
  capture: Capture,
  waiting: Waiting,
  work: () => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!hasCode(error, "capture/gap") || attempt === gapAttempts) throw error;
      logger.log("warn", "capture.gap", { error: error.message });
      await capture.reposition(waiting);
    }
  }
}

/** Everything after the acknowledged object is staged here without a hole. */
export function isStateIntact({ staging, link }: ReplicaParts): boolean {
  const { record } = link;
  if (record === undefined || staging.newest === undefined) return false;
  let through: bigint = record.maxTxid;
  for (const file of staging.files) {
    if (file.txid <= record.maxTxid) continue;
    if (file.minTxid > through + 1n) return false;
    through = file.txid;
  }
  return staging.newest.txid === through;
}

/** The error for a database that is no longer the file we are attached to. */
export function goneError(
  path: string,
  identity: "missing" | "replaced" | "truncated",
): HeadwaterError {
  return new HeadwaterError(
    "capture/gone",
    `${path} was ${identity === "missing" ? "deleted" : identity} underneath. Its history stays; ` +
      `Headwater attaches again as soon as there is a database.`,
    { data: { path, identity } },
  );
}
