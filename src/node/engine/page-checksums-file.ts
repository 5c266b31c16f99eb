// The page-checksum table on disk. It is a cache: it names the TXID it belongs to and is used only if it proves
// itself against the staged files; otherwise the engine makes it anew by reading the source.
//
//   0   8  TXID, big-endian
//   8  ..  the table with its page size and length, as `PageChecksums.toBytes` gives it
import { join } from "node:path";
import { concatBytes, viewOf } from "../../core/base/bytes.ts";
import { HeadwaterError, hasCode } from "../../core/base/errors.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import type { LtxReader } from "../../core/ltx/decoder.ts";
import { PageChecksums } from "../../core/ltx/page-checksums.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { readWhole, writeDurably } from "./durable-file.ts";
import { damaged } from "./ltx-files.ts";
import type { StagedFile, Staging } from "./staging.ts";
import type { StateOwnership } from "./state-directory.ts";

const txidSizeBytes = 8;

/** A page-checksum table and the TXID whose pages it describes. */
export interface ChecksumTable {
  readonly txid: Txid;
  readonly pages: PageChecksums;
}

export interface ChecksumFileOptions {
  readonly fileSystem: FileSystem;
  readonly stateDirectory: string;
  readonly ownership: StateOwnership;
}

export async function saveChecksums(
  table: ChecksumTable,
  options: ChecksumFileOptions,
): Promise<void> {
  const txid = new Uint8Array(txidSizeBytes);
  viewOf(txid).setBigUint64(0, table.txid);
  const bytes = concatBytes([txid, table.pages.toBytes()]);
  await writeDurably(options.fileSystem, pathOf(options), bytes, {
    ownership: options.ownership.file,
  });
}

/**
 * The table as of the newest staged file: loaded, replayed forward through the staged files, and compared with
 * what they say it must be; `savedAt` is the TXID that was loaded. `undefined` if it is missing, damaged, too old or wrong.
 */
export async function loadChecksums(
  staging: Staging,
  codec: Codec,
  options: ChecksumFileOptions,
): Promise<(ChecksumTable & { readonly savedAt: Txid }) | undefined> {
  const bytes = await readWhole(options.fileSystem, pathOf(options));
  const table = bytes === undefined ? undefined : parse(bytes);
  const newest = staging.newest;
  if (table === undefined || newest === undefined || table.txid > newest.txid) return undefined;
  const named = staging.find(table.txid);
  if (named !== undefined && !(await provesAfter(table, named, staging))) return undefined;
  let txid = table.txid;
  for (const file of staging.files) {
    if (file.txid <= table.txid) continue;
    if (file.minTxid !== txid + 1n || !(await replay(table, file, staging, codec)))
      return undefined;
    txid = file.txid;
  }
  return { ...table, txid, savedAt: table.txid };
}

async function provesAfter(
  table: ChecksumTable,
  file: StagedFile,
  staging: Staging,
): Promise<boolean> {
  const { proof, pageSize, commit } = await staging.readHeader(file);
  return (
    proof?.after === table.pages.databaseChecksum &&
    pageSize === table.pages.pageSize &&
    commit === table.pages.commit
  );
}

/** Applies a staged file to the table; false if the two do not fit. Throws `engine/state` if the file is damaged. */
async function replay(
  table: ChecksumTable,
  file: StagedFile,
  staging: Staging,
  codec: Codec,
): Promise<boolean> {
  try {
    return await applyTo(
      table,
      await openLtx(codec, staging.body(file).open({}), { name: file.path }),
    );
  } catch (error) {
    if (error instanceof HeadwaterError && error.code.startsWith("ltx/"))
      throw damaged(file.path, error);
    throw error;
  }
}

async function applyTo(table: ChecksumTable, reader: LtxReader): Promise<boolean> {
  const { proof, pageSize, commit } = reader.header;
  const isComplete = proof?.before === 0n;
  if (pageSize !== table.pages.pageSize || proof === undefined) return false;
  if (!isComplete && proof.before !== table.pages.databaseChecksum) return false;
  for await (const batch of reader.pages()) {
    table.pages.setMany(batch.pgnos, 0, batch.count, batch.checksums);
  }
  table.pages.truncate(commit);
  return table.pages.databaseChecksum === proof.after;
}

function parse(bytes: Uint8Array): ChecksumTable | undefined {
  const txid = bytes.length < txidSizeBytes ? 0n : viewOf(bytes).getBigUint64(0);
  if (txid === 0n) return undefined;
  try {
    return { txid: toTxid(txid), pages: PageChecksums.fromBytes(bytes.subarray(txidSizeBytes)) };
  } catch (error) {
    if (hasCode(error, "ltx/invalid")) return undefined;
    throw error;
  }
}

function pathOf({ stateDirectory }: ChecksumFileOptions): string {
  return join(stateDirectory, "page-checksums");
}
