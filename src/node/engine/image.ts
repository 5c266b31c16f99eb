// Whole databases: reading every page of a pinned position, for checksums and for full images.
// Two passes with bounded memory, because an LTX header holds the database checksum *after* the file.
import { setImmediate as nextTurn } from "node:timers/promises";
import { HeadwaterError } from "../../core/base/errors.ts";
import { lockPgno } from "../../core/base/page.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { LtxEncoder } from "../../core/ltx/encoder.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import { PageChecksums, checksumPages } from "../../core/ltx/page-checksums.ts";
import type { ObjectBody } from "../../core/store/object-store.ts";
import type { PageSource } from "../capture/capture-types.ts";
import type { Waiting } from "./waiting.ts";

/** Bit 63, set in every stored checksum. */
const checksumFlag = 1n << 63n;

/** Bytes read in one go; small enough that a writer's events are not kept waiting. */
const readBytes = 1 << 20;

/** Every page number of a database of `commit` pages, ascending, without the lock page. */
export function allPgnos(commit: number, pageSize: number): Uint32Array {
  const lock = lockPgno(pageSize);
  const pgnos = new Uint32Array(commit >= lock ? commit - 1 : commit);
  for (let i = 0; i < pgnos.length; i++) pgnos[i] = i + 1 < lock ? i + 1 : i + 2;
  return pgnos;
}

/** Checksums of the given pages of a source, in their order. */
export async function checksumsOf(
  codec: Codec,
  source: PageSource,
  pgnos: Uint32Array,
  { signal }: Partial<Waiting> = {},
): Promise<BigUint64Array> {
  const perRead = Math.max(1, Math.floor(readBytes / source.pageSize));
  const pages = new Uint8Array(Math.min(perRead, Math.max(1, pgnos.length)) * source.pageSize);
  const sums = new BigUint64Array(pgnos.length);
  for (let from = 0; from < pgnos.length; from += perRead) {
    const count = Math.min(perRead, pgnos.length - from);
    source.readPages(pgnos, from, count, pages);
    checksumPages(
      codec,
      source.pageSize,
      pgnos,
      from,
      count,
      pages,
      sums.subarray(from, from + count),
    );
    if (from + perRead < pgnos.length) await nextTurn();
    signal?.throwIfAborted();
  }
  return sums;
}

/** The page-checksum table of a whole source. */
export async function scan(
  codec: Codec,
  source: PageSource,
  waiting: Waiting,
): Promise<PageChecksums> {
  const pgnos = allPgnos(source.commit, source.pageSize);
  const sums = await checksumsOf(codec, source, pgnos, waiting);
  const table = new PageChecksums(source.pageSize);
  table.setMany(pgnos, 0, pgnos.length, sums);
  table.truncate(source.commit);
  return table;
}

/** Page numbers at which a source differs from a table, ascending. */
export function differingPgnos(
  table: PageChecksums,
  current: PageChecksums,
  pageSize: number,
): Uint32Array {
  const lock = lockPgno(pageSize);
  const differing: number[] = [];
  for (let pgno = 1; pgno <= current.commit; pgno++) {
    if (pgno === lock) continue;
    if (pgno > table.commit || table.get(pgno) !== current.get(pgno)) differing.push(pgno);
  }
  return Uint32Array.from(differing);
}

/** The pages to encode and the XOR of their checksums, with bit 63 set, as the first reading gave it. */
export interface EncodeRequest {
  readonly pgnos: Uint32Array;
  readonly pagesChecksum: bigint;
}

/**
 * Encodes pages of a source as one LTX file, turn by turn, so that other work goes on between. The source is read a
 * second time here: if it does not give what it gave before, the file is never finished (`capture/gap`).
 */
export async function* encodeFrom(
  codec: Codec,
  header: LtxHeader,
  source: PageSource,
  { pgnos, pagesChecksum }: EncodeRequest,
): AsyncGenerator<Uint8Array> {
  using encoder = new LtxEncoder(codec, header);
  const perCall = Math.min(
    encoder.maxPagesPerCall,
    Math.max(1, Math.floor(readBytes / source.pageSize)),
  );
  for (let from = 0; from < pgnos.length; from += perCall) {
    const count = Math.min(perCall, pgnos.length - from);
    const part = encoder.pageBuffer.subarray(0, count * source.pageSize);
    source.readPages(pgnos, from, count, part);
    yield encoder.encodePages(pgnos, from, count, part);
    if (from + perCall < pgnos.length) await nextTurn();
  }
  if ((encoder.pagesChecksum | checksumFlag) !== pagesChecksum) {
    throw new HeadwaterError(
      "capture/gap",
      "The database changed underneath while it was read: something wrote to its files without SQLite. " +
        "Headwater compares it with its page checksums and goes on.",
    );
  }
  yield encoder.finish();
}

/** A full image as a body of unknown length that can be opened again for a retry. */
export function imageBody(
  codec: Codec,
  header: LtxHeader,
  source: PageSource,
  table: PageChecksums,
): ObjectBody {
  const pgnos = allPgnos(source.commit, source.pageSize);
  const pagesChecksum = table.databaseChecksum;
  return {
    sizeBytes: undefined,
    open: () => encodeFrom(codec, header, source, { pgnos, pagesChecksum }),
  };
}
