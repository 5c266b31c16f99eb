// The history of a database with several replicas. It is what is staged here; with nothing staged it begins after the
// highest TXID that any replica has. No replica is waited for that does not answer: it follows later (follow.ts), and
// what it has then is numbered over.
import type { Clock } from "../../core/base/clock.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import type { Capture } from "../capture/capture.ts";
import { afterGaps, continueStaged, isStateIntact } from "./attach-database.ts";
import { scan } from "./image.ts";
import { hasLitestream } from "./litestream-beside.ts";
import type { EngineParts, ReplicaParts } from "./parts.ts";
import type { ReplicaHead } from "./replica-survey.ts";
import type { ReplicaWorker } from "./replica-worker.ts";
import { retryStore } from "./retry-store.ts";
import { continueRestored, sourceAtHead } from "./settle.ts";
import type { Waiting } from "./waiting.ts";

/** How long the others have for their listing once one replica has answered. */
const surveyGraceMs = 10_000;

interface Found {
  readonly parts: ReplicaParts;
  readonly head: ReplicaHead | undefined;
}

/** Makes one history of the attached database and what is known here, and tells each replica that has to follow it. */
export async function joinSeveral(
  parts: EngineParts,
  replicas: readonly ReplicaWorker[],
  capture: Capture,
  waiting: Waiting,
): Promise<void> {
  const { staging } = parts;
  const { newest } = staging;
  // Left by a time with one replica, which follows like any other now.
  await staging.images.remove();
  if (newest === undefined) {
    const found = await survey(parts, replicas, waiting);
    // A replica that does not answer has at least what it acknowledged.
    const known = replicas.map(({ link }) => link.record?.maxTxid ?? 0n);
    const above = highestOf([...known, ...found.map(({ head }) => head?.txid ?? 0n)]);
    await afterGaps(parts, capture, waiting, () =>
      begin(parts, found, { capture, above }, waiting),
    );
  } else {
    const url = replicas[0]?.link.store.url ?? "";
    await continueStaged(parts, { newest, url }, capture, waiting);
  }
  const isLitestreamHere = hasLitestream(parts);
  for (const replica of replicas) {
    if (isLitestreamHere || !isStateIntact(replica.parts)) replica.mustFollow();
  }
}

/** The heads of all replicas that answer. Waits until one does. */
async function survey(
  parts: EngineParts,
  replicas: readonly ReplicaWorker[],
  waiting: Waiting,
): Promise<readonly Found[]> {
  return retryStore(parts, waiting, async () => {
    const late = new AbortController();
    const signal = AbortSignal.any([waiting.signal, late.signal]);
    const asked = replicas.map(async ({ parts: of }) => {
      const { head } = await of.link.survey({ signal });
      void abortLater(parts.clock, late, waiting);
      return { parts: of, head };
    });
    const results = await Promise.allSettled(asked);
    late.abort();
    const found = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (found.length === 0) await asked[0];
    return found;
  });
}

async function abortLater(clock: Clock, late: AbortController, { signal }: Waiting): Promise<void> {
  const waiting = { signal: AbortSignal.any([signal, late.signal]) };
  await clock.sleep(surveyGraceMs, waiting).catch(() => undefined);
  late.abort();
}

/**
 * The first TXID of the history, on this machine. A database restored from a replica continues after its head; any other
 * begins above the highest TXID, at one that the replicas get as a full image each.
 */
async function begin(
  parts: EngineParts,
  found: readonly Found[],
  { capture, above }: { readonly capture: Capture; readonly above: bigint },
  waiting: Waiting,
): Promise<void> {
  const heads = found
    .flatMap(({ parts: of, head }) => (head === undefined ? [] : [{ of, head }]))
    .toSorted((a, b) => (a.head.txid > b.head.txid ? -1 : 1));
  for (const { of, head } of heads) {
    const restored = await sourceAtHead(of, capture, head, waiting);
    if (restored === undefined) continue;
    try {
      return await continueRestored(of, head, restored, waiting);
    } finally {
      restored.source.release();
    }
  }
  const { codec, history, clock } = parts;
  const newestMs = Math.max(0, ...heads.map(({ head }) => head.header.timestampMs));
  const source = await capture.pinImage(waiting);
  try {
    const table = await scan(codec, source, waiting);
    const head = {
      txid: toTxid(above + 1n),
      after: table.databaseChecksum,
      timestampMs: Math.max(clock.nowMs(), newestMs + 1),
    };
    history.continueAfter(head, table);
    // Only this is kept on disk. It changes nothing.
    await history.stageChanges(source, Uint32Array.of(1), waiting);
  } finally {
    source.release();
  }
}

function highestOf(txids: readonly bigint[]): bigint {
  return txids.reduce((most, txid) => (txid > most ? txid : most), 0n);
}
