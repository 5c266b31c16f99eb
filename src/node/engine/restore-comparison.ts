// A full restore, compared with the source byte for byte: the files that make the newest TXID are downloaded and merged,
// page by page in order, and each page is compared with the same page of the source, which is pinned at that TXID. No
// temporary file, and memory does not grow with the database.
import { bytesEqual, collectBytes } from "../../core/base/bytes.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import type { PageBatch } from "../../core/ltx/decoder.ts";
import { mergeLtx } from "../../core/ltx/merge.ts";
import { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { listReplica } from "../../core/replica/catalog.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { planRestore } from "../../core/replica/plan.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { createRetryingStore } from "../../core/store/retrying-store.ts";
import type { PageSource } from "../capture/capture-types.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Stager } from "./stager.ts";
import { unlessWalGrows } from "./wal-limit.ts";
import type { Waiting } from "./waiting.ts";

/** Merged at once, all of them open. */
const maxFiles = 256;

/** Files up to this size are read at once and held; larger ones are streams, each with a connection of its own. */
const heldFileBytes = 256 * 1024;
const maxStreams = 64;

/** How long the newest TXID may take to reach the replica, and how often that is looked at. */
const uploadWaitMs = 60_000;
const uploadCheckMs = 100;

/** A request that fails is tried so often. */
const attempts = 6;

/** What is wrong with the replica, and not with reaching it. */
const replicaFaults = /^(?:ltx\/|replica\/)/u;

export type RestoreComparison =
  | {
      readonly kind: "compared";
      readonly txid: Txid;
      readonly pages: number;
      readonly files: number;
      readonly sizeBytes: number;
      /** Pages that the replica has as they were captured, and the source has not. */
      readonly divergedPgnos: Uint32Array;
    }
  /** The replica does not give what was captured. */
  | { readonly kind: "faulty"; readonly txid: Txid; readonly problem: string }
  /** Not possible now. */
  | { readonly kind: "skipped"; readonly why: string };

interface Head {
  readonly txid: Txid;
  readonly table: PageChecksums;
}

export interface ComparisonHooks {
  readonly stager: Stager;
  /** Every TXID up to it is in the replica. */
  readonly ackedThrough: () => bigint;
}

/** Restores the newest TXID in thought and compares. Throws what source or store throw where they do not answer. */
export async function compareRestore(
  parts: ReplicaParts,
  { stager, ackedThrough }: ComparisonHooks,
  { signal }: Waiting,
): Promise<RestoreComparison> {
  const outcome = await stager.readAtHead(
    {
      note: ({ txid }, table) => ({ txid, table: PageChecksums.fromBytes(table.toBytes()) }),
      read: async (source, head, waiting) => {
        const work = async (limited: Waiting): Promise<RestoreComparison> => {
          if (!(await isUploaded(parts, head.txid, ackedThrough, limited)))
            return { kind: "skipped", why: "the newest TXID did not reach the replica in time" };
          return compare(parts, source, head, limited);
        };
        const compared = await unlessWalGrows(parts, stager.capture, work, waiting);
        const why = "the WAL grew above max-wal-size meanwhile";
        return compared ?? { kind: "skipped" as const, why };
      },
    },
    { signal },
  );
  return outcome ?? { kind: "skipped", why: "a full image is being taken" };
}

async function isUploaded(
  { clock }: ReplicaParts,
  txid: Txid,
  ackedThrough: () => bigint,
  waiting: Waiting,
): Promise<boolean> {
  const endsAtMs = clock.monotonicMs() + uploadWaitMs;
  while (ackedThrough() < txid) {
    if (clock.monotonicMs() > endsAtMs) return false;
    await clock.sleep(uploadCheckMs, waiting);
  }
  return true;
}

async function compare(
  parts: ReplicaParts,
  source: PageSource,
  head: Head,
  { signal }: Waiting,
): Promise<RestoreComparison> {
  const { link, clock, random, logger } = parts;
  const store = createRetryingStore(link.store, { clock, random, logger, attempts });
  try {
    const listed = await listReplica(store, link.layout, { signal });
    const files = planRestore(listed, { kind: "txid", txid: head.txid });
    const streams = files.filter(({ sizeBytes }) => sizeBytes > heldFileBytes).length;
    if (files.length > maxFiles || streams > maxStreams) {
      const why = `a restore needs ${files.length} files, which is too many to merge at once`;
      return { kind: "skipped", why };
    }
    return await compareFiles(parts, source, head, { store, files, signal });
  } catch (error) {
    if (!(error instanceof HeadwaterError) || !replicaFaults.test(error.code)) throw error;
    return { kind: "faulty", txid: head.txid, problem: error.message };
  }
}

interface Restored extends Waiting {
  readonly store: ObjectStore;
  readonly files: readonly ReplicaFile[];
}

async function compareFiles(
  { codec }: ReplicaParts,
  source: PageSource,
  { txid, table }: Head,
  { store, files, signal }: Restored,
): Promise<RestoreComparison> {
  const inputs = files.map((file) => ({
    name: file.key,
    chunks: chunksOf(store, file, { signal }),
  }));
  const merged = mergeLtx(codec, inputs, { signal });
  // A merged image proves itself, too: its pages must be the database that the last proof names.
  await using reader = await openLtx(codec, merged, { name: "the restored database", signal });
  const { pageSize, commit } = reader.header;
  if (pageSize !== source.pageSize || commit !== source.commit) {
    const problem = `A restore gives ${commit} pages of ${pageSize} bytes, the source has ${source.commit} of ${source.pageSize}.`;
    return { kind: "faulty", txid, problem };
  }
  const diverged: number[] = [];
  const wrong: number[] = [];
  let pages = 0;
  let read = new Uint8Array(0);
  for await (const batch of reader.pages()) {
    if (read.length < batch.pages.length) read = new Uint8Array(batch.pages.length);
    source.readPages(batch.pgnos, 0, batch.count, read);
    for (const index of differingIn(batch, read, pageSize)) {
      const pgno = batch.pgnos[index] ?? 0;
      const isAsCaptured = batch.checksums[index] === table.get(pgno);
      (isAsCaptured ? diverged : wrong).push(pgno);
    }
    pages += batch.count;
  }
  if (wrong.length > 0) {
    const problem = `A restore gives ${wrong.length} pages that were not captured so, the first of them page ${wrong[0]}.`;
    return { kind: "faulty", txid, problem };
  }
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const divergedPgnos = Uint32Array.from(diverged);
  return { kind: "compared", txid, pages, files: files.length, sizeBytes, divergedPgnos };
}

/** Indexes of the pages of a batch that differ from those in `read`. */
function differingIn({ count, pages }: PageBatch, read: Uint8Array, pageSize: number): number[] {
  const differing: number[] = [];
  for (let i = 0; i < count; i++) {
    const [start, end] = [i * pageSize, (i + 1) * pageSize];
    if (!bytesEqual(pages.subarray(start, end), read.subarray(start, end))) differing.push(i);
  }
  return differing;
}

async function* chunksOf(
  store: ObjectStore,
  { key, etag, sizeBytes }: ReplicaFile,
  { signal }: Waiting,
): AsyncGenerator<Uint8Array> {
  const content = await store.get(key, { etag, signal });
  if (content === undefined) {
    throw new HeadwaterError(
      "store/changed",
      `${key} was deleted while it was being verified. Try again.`,
      {
        data: { key },
      },
    );
  }
  if (sizeBytes > heldFileBytes) {
    yield* content.body;
    return;
  }
  yield await collectBytes(content.body);
}
