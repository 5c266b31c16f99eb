// Applies the files of a plan to a database file, in TXID order, and proves each step.
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { type PageBatch, openLtx } from "../../core/ltx/decoder.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { formatTxid, toTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { ChainState, checkFileIdentity, proves, startsAt } from "../../core/replica/chain-state.ts";
import type { Download } from "./download.ts";
import { PageWriter } from "./page-writer.ts";

export interface Applied {
  readonly sizeBytes: number;
  /** Whether the last file proved that these are the pages that were captured. Litestream's files cannot. */
  readonly isProved: boolean;
  /** The page checksums of the database; `undefined` if there was no file. */
  readonly state: ChainState | undefined;
}

interface ReadFilesOptions extends Waiting {
  readonly codec: Codec;
  readonly download: Download;
}

export interface ApplyOptions extends ReadFilesOptions {
  /** Empty, open for writing. */
  readonly output: OpenFile;
}

/** Takes the pages of files that are applied one after the other. */
export interface PageSink {
  /** Before the pages of each file. Its pages may come again in the next file, and what lies above `commit` is gone. */
  begin(header: LtxHeader): Promise<void>;
  /** The batch is borrowed until it resolves. */
  write(batch: PageBatch): Promise<void>;
}

export interface ReplayOptions extends ReadFilesOptions {
  /** What the files are applied to; it goes with them. `undefined`: nothing. */
  readonly state?: ChainState | undefined;
  readonly sink: PageSink;
}

/**
 * Hands the pages of `files` to a sink, in order, and proves each step. Throws what is wrong with a file (`ltx/*`),
 * `replica/foreign-file` or `replica/proof`, naming the file; the state and what the sink has taken are then worthless.
 */
export async function replayFiles(
  files: readonly ReplicaFile[],
  { codec, download, sink, signal, ...options }: ReplayOptions,
): Promise<{ readonly state: ChainState | undefined; readonly isProved: boolean }> {
  let { state } = options;
  let isProved = false;
  for (const file of files) {
    const chunks = download.read(file);
    await using reader = await openLtx(codec, chunks, { name: file.key, signal });
    const { header } = reader;
    checkFileIdentity(file, header, state?.pageSize);
    state ??= new ChainState(header.pageSize);
    if (!startsAt(header, state)) throw brokenLink(file, state);
    await sink.begin(header);
    state.begin(header);
    for await (const batch of reader.pages()) {
      state.apply(batch);
      await sink.write(batch);
    }
    state.end(codec, header);
    const proof = proves(header, state);
    if (proof === "no") throw brokenProof(file);
    isProved = proof === "yes";
  }
  return { state, isProved };
}

/** Writes the database that `files` make and syncs it. Throws what `replayFiles` does; the output is then worthless. */
export async function applyFiles(
  files: readonly ReplicaFile[],
  { output, ...options }: ApplyOptions,
): Promise<Applied> {
  let writer: PageWriter | undefined;
  let commit = 0;
  const sink: PageSink = {
    begin: async (header) => {
      writer ??= new PageWriter(output, header.pageSize);
      // The same page may come again in the next file, so its writes may not overtake this one's.
      await writer.drain();
      if (header.commit < commit) await output.truncate(header.commit * header.pageSize);
      commit = header.commit;
    },
    write: async (batch) => writer?.write(batch),
  };
  try {
    const { state, isProved } = await replayFiles(files, { ...options, sink });
    const sizeBytes = state === undefined ? 0 : state.commit * state.pageSize;
    await writer?.drain();
    // Pages at the end that no file holds: the lock page, or zeros the database grew by.
    await output.truncate(sizeBytes);
    await writer?.sync();
    return { sizeBytes, isProved, state };
  } finally {
    await writer?.settle();
  }
}

function brokenLink(file: ReplicaFile, state: ChainState): HeadwaterError {
  const before = state.txid === 0n ? "nothing" : `TXID ${formatTxid(toTxid(state.txid))}`;
  return new HeadwaterError(
    "replica/proof",
    `${file.key} does not continue the database at ${before}: its proof names another one. It, or a file before it, ` +
      "was replaced. Run headwater verify, or restore an earlier TXID.",
    { data: { key: file.key, txid: state.txid, fault: "link" } },
  );
}

function brokenProof(file: ReplicaFile): HeadwaterError {
  return new HeadwaterError(
    "replica/proof",
    `${file.key} does not give the database that was captured: a page of it was altered and its checksum made to fit. ` +
      "Restore an earlier TXID.",
    { data: { key: file.key, fault: "pages" } },
  );
}
