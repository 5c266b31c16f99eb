// What is done about files of a replica that are missing or damaged: what is still staged here is put again; if the newest
// TXID cannot be restored any more, a full image is put beside what there is. Nothing is ever deleted. A damaged file
// that is not needed for the newest TXID is only reported here.
import { formatTxid } from "../../core/ltx/txid.ts";
import { maxLevel } from "../../core/replica/layout.ts";
import type { ObjectStore, PutCondition } from "../../core/store/object-store.ts";
import type { ReplicaParts } from "./parts.ts";
import type { ProofReport, ReplicaFault } from "./replica-proof.ts";
import type { Stager } from "./stager.ts";
import type { Waiting } from "./waiting.ts";

export interface HealingHooks {
  readonly stager: Stager;
  /** Runs while nothing is uploaded. */
  readonly whileNotUploading: <T>(work: () => Promise<T>) => Promise<T>;
  /** Puts a full image of the newest TXID. */
  readonly putSnapshot: (waiting: Waiting) => Promise<void>;
}

/** Puts what can be put again, then a full image if the newest TXID could not be restored. Returns the faults that remain. */
export async function healReplica(
  parts: ReplicaParts,
  { faults, canRestoreHead, headTxid }: ProofReport,
  hooks: HealingHooks,
  { signal }: Waiting,
): Promise<readonly ReplicaFault[]> {
  const remaining: ReplicaFault[] = [];
  for (const fault of faults) {
    const isPut = await hooks.whileNotUploading(() => putAgain(parts, fault, { signal }));
    if (!isPut) remaining.push(fault);
  }
  const isHeadLost = !canRestoreHead && (remaining.length > 0 || faults.length === 0);
  if (isHeadLost) {
    // An image at the newest TXID would need the name of a file that is there and damaged.
    const isNameTaken = remaining.some(
      ({ file, kind }) =>
        kind !== "missing" && file.level === maxLevel && file.maxTxid === headTxid,
    );
    if (isNameTaken) {
      await hooks.stager.restage(Uint32Array.of(1), { always: true, signal });
    }
    await hooks.putSnapshot({ signal });
    const { head } = parts.history;
    parts.logger.log("warn", "replica.reimaged", { txid: head && formatTxid(head.txid) });
  }
  return remaining;
}

/** True if the file is staged here and now is in the replica as it was put. */
async function putAgain(
  { staging, link, codec, logger }: ReplicaParts,
  { file, kind }: ReplicaFault,
  { signal }: Waiting,
): Promise<boolean> {
  const staged = file.level === 0 ? staging.find(file.maxTxid) : undefined;
  if (staged?.minTxid !== file.minTxid || kind === "unlinked") return false;
  const expected = kind === "damaged" ? file.etag : undefined;
  if ((await link.store.head(file.key, { signal }))?.etag !== expected) return false;
  await link.lease.hold({ signal });
  await staging.checkIntact(staged, codec, { signal });
  const { timestampMs } = await staging.readHeader(staged);
  const body = staging.body(staged);
  const condition = await conditionFor(link.store, expected, { signal });
  const { etag, sizeBytes } = await link.store.put(file.key, body, {
    condition,
    timestampMs,
    signal,
  });
  await link.noteRenewed({ ...file, etag, sizeBytes, timestampMs, isExactTime: true });
  logger.log("warn", "replica.put-again", { key: file.key, sizeBytes });
  return true;
}

/** That the object is still what was seen just now, where the store can see to it. */
async function conditionFor(
  store: ObjectStore,
  etag: string | undefined,
  waiting: Waiting,
): Promise<PutCondition | undefined> {
  const { createOnly, replaceIfUnchanged } = await store.features(waiting);
  if (etag === undefined) return createOnly ? "absent" : undefined;
  return replaceIfUnchanged ? { etag } : undefined;
}
