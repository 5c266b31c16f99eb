// The times of restore points. The time in a file's header decides; what a listing says is only when the object
// arrived, or a modification time that a copy may have changed. Both can only be later than the header.
import { type Waiting, mapConcurrent } from "../base/async.ts";
import { collectBytes } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type LtxHeader, decodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import type { TimedFile } from "./history.ts";

/** Headers fetched at the same time. */
const headerFetchLimit = 50;

/** How far the clocks of a writer and its store may differ. */
const clockSkewMs = 60 * 60 * 1000;

export interface HeaderTimesOptions extends Waiting {
  readonly beforeMs: number;
  /** True for a file whose time is known to be that of its header. Default: for none, a copy may have changed it. */
  readonly isKnown?: ((file: ReplicaFile) => boolean) | undefined;
}

/**
 * The files with the header's time wherever it matters for the newest restore point before `beforeMs`: from the newest
 * TXID downwards, until a file stamped before it is found. A file listed more than an hour before that time is
 * taken at its word. Costs one ranged read for each file looked at, 50 at once.
 */
export async function withHeaderTimes(
  store: ObjectStore,
  files: readonly ReplicaFile[],
  { beforeMs, isKnown = () => false, signal }: HeaderTimesOptions,
): Promise<readonly ReplicaFile[]> {
  const newestFirst = files.toSorted(
    (a, b) => Number(b.maxTxid > a.maxTxid) - Number(b.maxTxid < a.maxTxid),
  );
  const known: ReplicaFile[] = [];
  for (let from = 0; from < newestFirst.length; from += headerFetchLimit) {
    const batch = await mapConcurrent(
      newestFirst.slice(from, from + headerFetchLimit),
      headerFetchLimit,
      async (file) =>
        file.timestampMs < beforeMs - clockSkewMs || isKnown(file)
          ? file
          : withHeaderTime(store, file, signal),
    );
    known.push(...batch);
    if (batch.some((file) => file.timestampMs < beforeMs)) {
      return [...known, ...newestFirst.slice(known.length)];
    }
  }
  return known;
}

/** What `withAllHeaders` found. */
export interface HeadersRead {
  readonly files: readonly TimedFile[];
  /** Files whose header is damaged or names other TXIDs than their key: no restore can use them. */
  readonly unreadable: readonly ReplicaFile[];
}

/** Every file with what its header says. Costs one ranged read for each file, 50 at once. Files that are gone are left out. */
export async function withAllHeaders(
  store: ObjectStore,
  files: readonly ReplicaFile[],
  { signal }: Waiting,
): Promise<HeadersRead> {
  const read: TimedFile[] = [];
  const unreadable: ReplicaFile[] = [];
  await mapConcurrent(files, headerFetchLimit, async (file) => {
    const header = await readHeader(store, file, signal);
    if (header === "gone") return;
    const isSound =
      header !== "damaged" && header.minTxid === file.minTxid && header.maxTxid === file.maxTxid;
    if (!isSound) {
      unreadable.push(file);
      return;
    }
    const { timestampMs, commit, pageSize } = header;
    read.push({ ...file, timestampMs, isExactTime: true, databaseSizeBytes: commit * pageSize });
  });
  return { files: read, unreadable };
}

async function withHeaderTime(
  store: ObjectStore,
  file: ReplicaFile,
  signal: AbortSignal | undefined,
): Promise<ReplicaFile> {
  const header = await readHeader(store, file, signal);
  // A damaged file keeps its listed time: if the plan needs it, decoding names it.
  if (header === "gone" || header === "damaged") return file;
  return { ...file, timestampMs: header.timestampMs, isExactTime: true };
}

async function readHeader(
  store: ObjectStore,
  file: ReplicaFile,
  signal: AbortSignal | undefined,
): Promise<LtxHeader | "gone" | "damaged"> {
  const length = ltxHeaderSizeBytes;
  try {
    const content = await store.get(file.key, { offset: 0, length, signal });
    if (content === undefined) return "gone";
    return decodeHeader(await collectBytes(content.body), file.key);
  } catch (error) {
    if (error instanceof HeadwaterError && error.code.startsWith("ltx/")) return "damaged";
    throw error;
  }
}
