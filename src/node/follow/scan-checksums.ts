// What a database file holds, read through a descriptor: its header, and the checksums of all pages.
import type { OpenFile } from "../../core/base/file-system.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { PageChecksums, checksumPages } from "../../core/ltx/page-checksums.ts";
import {
  type DatabaseHeader,
  databaseHeaderSizeBytes,
  decodeDatabaseHeader,
} from "../../core/sqlite/database-header.ts";
import { putPatchedBytes } from "../../core/sqlite/patched-header.ts";

const chunkBytes = 1024 * 1024;

/** The header of page 1 as it stands in the file. Throws `sqlite/invalid`. */
export async function readHeader(file: OpenFile): Promise<DatabaseHeader> {
  const bytes = new Uint8Array(databaseHeaderSizeBytes);
  const count = await file.read(bytes, 0);
  return decodeDatabaseHeader(bytes.subarray(0, count));
}

/** The checksums of all pages as they stand in the file, page 1 with `patched` put back. Nobody writes meanwhile. */
export async function scanChecksums(
  file: OpenFile,
  codec: Codec,
  patched: Uint8Array | undefined,
): Promise<PageChecksums> {
  const { pageSize } = await readHeader(file);
  const { sizeBytes } = await file.status();
  const commit = Math.floor(sizeBytes / pageSize);
  const table = new PageChecksums(pageSize);
  const limit = chunkBytes / pageSize;
  const pages = new Uint8Array(chunkBytes);
  const checksums = new BigUint64Array(limit);
  for (let done = 0; done < commit; done += limit) {
    const count = Math.min(limit, commit - done);
    await file.read(pages.subarray(0, count * pageSize), done * pageSize);
    if (done === 0 && patched !== undefined) putPatchedBytes(pages, patched);
    const pgnos = Uint32Array.from({ length: count }, (_, i) => done + i + 1);
    checksumPages(codec, pageSize, pgnos, 0, count, pages, checksums);
    table.setMany(pgnos, 0, count, checksums);
  }
  table.truncate(commit);
  return table;
}
