// The page-checksum table on disk. It is a cache: it names the TXID it belongs to and is used only if it proves
// itself against the staged files; otherwise the engine makes it anew by reading the source.
//
//   0   8  "HWPC0001"
//   8   8  TXID, big-endian
//  16   4  page size
//  20   4  database size in pages
//  24  ..  the table, 8 bytes per page, as `PageChecksums.toBytes` gives it
import { join } from "node:path";
import { concatBytes, viewOf } from "../../core/base/bytes.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import { isPageSize } from "../../core/base/page.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { openLtx } from "../../core/ltx/decoder.ts";
import { PageChecksums } from "../../core/ltx/page-checksums.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { readWhole, writeDurably } from "./durable-file.ts";
import type { StagedFile, Staging } from "./staging.ts";
import type { StateOwnership } from "./state-directory.ts";

const magic = new TextEncoder().encode("HWPC0001");
const headerBytes = 24;

/** A page-checksum table and the TXID whose pages it describes. */
export interface ChecksumTable {
  readonly txid: Txid;
  readonly pageSize: number;
  readonly pages: PageChecksums;
}

export interface ChecksumFileOptions {
  readonly fileSystem: FileSystem;
  readonly stateDirectory: string;
  readonly ownership: StateOwnership;
}

export async function saveChecksums(table: ChecksumTable, options: ChecksumFileOptions): Promise<void> {
  const header = new Uint8Array(headerBytes);
  const view = viewOf(header);
  header.set(magic);
  view.setBigUint64(8, table.txid);
  view.setUint32(16, table.pageSize);
  view.setUint32(20, table.pages.commit);
  const bytes = concatBytes([header, table.pages.toBytes()]);
  await writeDurably(options.fileSystem, pathOf(options), bytes, { ownership: options.ownership.file });
}

/**
 * The table as of the newest staged file: loaded, replayed forward through the staged files, and compared with
 * what they say it must be. `undefined` if it is missing, damaged, too old or wrong.
 */
export async function loadChecksums(
  staging: Staging,
  codec: Codec,
  options: ChecksumFileOptions,
): Promise<ChecksumTable | undefined> {
  const bytes = await readWhole(options.fileSystem, pathOf(options));
  const table = bytes === undefined ? undefined : parse(bytes);
  const newest = staging.newest;
  if (table === undefined || newest === undefined || table.txid > newest.txid) return undefined;
  const named = staging.find(table.txid);
  if (named !== undefined && !(await provesAfter(table, named, staging))) return undefined;
  let txid = table.txid;
  for (const file of staging.files) {
    if (file.txid <= table.txid) continue;
    if (file.txid !== txid + 1n || !(await replay(table, file, staging, codec))) return undefined;
    txid = file.txid;
  }
  return { ...table, txid };
}

async function provesAfter(table: ChecksumTable, file: StagedFile, staging: Staging): Promise<boolean> {
  const { proof, pageSize, commit } = await staging.readHeader(file);
  return (
    proof?.after === table.pages.databaseChecksum && pageSize === table.pageSize && commit === table.pages.commit
  );
}

/** Applies a staged file to the table; false if the two do not fit or the file is damaged. */
async function replay(
  table: ChecksumTable,
  file: StagedFile,
  staging: Staging,
  codec: Codec,
): Promise<boolean> {
  const reader = await openLtx(codec, staging.body(file).open({}), { name: file.path });
  const { proof, pageSize, commit } = reader.header;
  const isComplete = proof?.before === 0n;
  if (pageSize !== table.pageSize || proof === undefined) return false;
  if (!isComplete && proof.before !== table.pages.databaseChecksum) return false;
  for await (const batch of reader.pages()) {
    for (let i = 0; i < batch.count; i++) {
      table.pages.set(batch.pgnos[i] ?? 0, batch.checksums[i] ?? 0n);
    }
  }
  table.pages.truncate(commit);
  return table.pages.databaseChecksum === proof.after;
}

function parse(bytes: Uint8Array): ChecksumTable | undefined {
  if (bytes.length < headerBytes || magic.some((byte, i) => bytes[i] !== byte)) return undefined;
  const view = viewOf(bytes);
  const pageSize = view.getUint32(16);
  const commit = view.getUint32(20);
  const txid = view.getBigUint64(8);
  if (!isPageSize(pageSize) || txid === 0n || bytes.length !== headerBytes + commit * 8) return undefined;
  const pages = PageChecksums.fromBytes(bytes.subarray(headerBytes));
  return { txid: toTxid(txid), pageSize, pages };
}

function pathOf({ stateDirectory }: ChecksumFileOptions): string {
  return join(stateDirectory, "page-checksums");
}
