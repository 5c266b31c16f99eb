// Applies the files of a plan to a database file, in TXID order, and proves each step.
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import { formatTxid, toTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { ChainState, checkFileIdentity, proves, startsAt } from "../../core/replica/chain-state.ts";
import type { Download } from "./download.ts";
import { PageWriter } from "./page-writer.ts";

export interface Applied {
  readonly sizeBytes: number;
  /** Whether the last file proved that these are the pages that were captured. Litestream's files cannot. */
  readonly isProved: boolean;
}

export interface ApplyOptions extends Waiting {
  readonly codec: Codec;
  readonly download: Download;
  /** Empty, open for writing. */
  readonly output: OpenFile;
}

/**
 * Writes the database that `files` make and syncs it. Throws what is wrong with a file (`ltx/*`), `replica/foreign-file`
 * or `replica/proof`, naming the file; the output is then worthless.
 */
export async function applyFiles(
  files: readonly ReplicaFile[],
  { codec, download, output, signal }: ApplyOptions,
): Promise<Applied> {
  let chain: { readonly state: ChainState; readonly writer: PageWriter } | undefined;
  let isProved = false;
  try {
    for (const file of files) {
      const chunks = download.read(file);
      await using reader = await openLtx(codec, chunks, { name: file.key, signal });
      const { header } = reader;
      checkFileIdentity(file, header, chain?.state.pageSize);
      chain ??= {
        state: new ChainState(header.pageSize),
        writer: new PageWriter(output, header.pageSize),
      };
      const { state, writer } = chain;
      if (!startsAt(header, state)) throw brokenLink(file, state);
      // The same page may come again in the next file, so its writes may not overtake this one's.
      await writer.drain();
      if (header.commit < state.commit) await output.truncate(header.commit * header.pageSize);
      state.begin(header);
      for await (const batch of reader.pages()) {
        state.apply(batch);
        await writer.write(batch);
      }
      state.end(codec, header);
      const proof = proves(header, state);
      if (proof === "no") throw brokenProof(file);
      isProved = proof === "yes";
    }
    const sizeBytes = chain === undefined ? 0 : chain.state.commit * chain.state.pageSize;
    await chain?.writer.drain();
    // Pages at the end that no file holds: the lock page, or zeros the database grew by.
    await output.truncate(sizeBytes);
    await chain?.writer.sync();
    return { sizeBytes, isProved };
  } finally {
    await chain?.writer.settle();
  }
}

function brokenLink(file: ReplicaFile, state: ChainState): HeadwaterError {
  const before = state.txid === 0n ? "nothing" : `TXID ${formatTxid(toTxid(state.txid))}`;
  return new HeadwaterError(
    "replica/proof",
    `${file.key} does not continue the database at ${before}: its proof names another one. It, or a file before it, ` +
      "was replaced. Run headwater verify, or restore an earlier TXID.",
    { data: { key: file.key, txid: state.txid } },
  );
}

function brokenProof(file: ReplicaFile): HeadwaterError {
  return new HeadwaterError(
    "replica/proof",
    `${file.key} does not give the database that was captured: a page of it was altered and its checksum made to fit. ` +
      "Restore an earlier TXID.",
    { data: { key: file.key } },
  );
}
