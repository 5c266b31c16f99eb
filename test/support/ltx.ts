// Small LTX files for tests, and reading them whole.
import type { Codec } from "../../src/core/codec/codec.ts";
import { concatBytes } from "../../src/core/base/bytes.ts";
import type { LtxReader } from "../../src/core/ltx/decoder.ts";
import { openLtx } from "../../src/core/ltx/decoder.ts";
import { encodeLtx } from "../../src/core/ltx/encoder.ts";
import type { LtxHeader } from "../../src/core/ltx/header.ts";
import type { LtxTrailer } from "../../src/core/ltx/trailer.ts";
import { toTxid } from "../../src/core/ltx/txid.ts";

/** A header as Headwater writes it; `changes` replace fields. */
export function ltxHeader(changes: Partial<LtxHeader> = {}): LtxHeader {
  return {
    pageSize: 4096,
    commit: 1,
    minTxid: toTxid(2),
    maxTxid: toTxid(changes.minTxid ?? 2),
    timestampMs: 1_700_000_000_000,
    noChecksum: true,
    preApplyChecksum: 0n,
    walOffset: 32n,
    walSize: 0n,
    walSalt1: 0,
    walSalt2: 0,
    nodeId: 7n,
    proof: undefined,
    ...changes,
  };
}

/** All bytes of a file that holds `pageByPgno`. */
export function encodeWhole(
  codec: Codec,
  header: LtxHeader,
  pageByPgno: ReadonlyMap<number, Uint8Array>,
): Promise<Uint8Array<ArrayBuffer>> {
  const pgnos = Uint32Array.from(pageByPgno.keys());
  return collect(
    encodeLtx(codec, header, pgnos, (_, from, count, into) => {
      for (let i = 0; i < count; i++) {
        const page = pageByPgno.get(pgnos[from + i] ?? 0) ?? new Uint8Array(0);
        into.set(page, i * header.pageSize);
      }
    }),
  );
}

/** All chunks as one array. Copied. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return concatBytes(parts);
}

/** `bytes` in pieces of `size`. */
export async function* chunked(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export interface WholeLtx {
  readonly header: LtxHeader;
  readonly trailer: LtxTrailer;
  readonly pageByPgno: ReadonlyMap<number, Uint8Array>;
  readonly checksumByPgno: ReadonlyMap<number, bigint>;
}

/** Reads and checks a whole file, given in chunks of `chunkSize`. */
export async function decodeWhole(
  codec: Codec,
  bytes: Uint8Array,
  {
    name = "test.ltx",
    chunkSize = bytes.length,
  }: { readonly name?: string; readonly chunkSize?: number | undefined } = {},
): Promise<WholeLtx> {
  const reader = await openLtx(codec, chunked(bytes, chunkSize), { name });
  return readWhole(reader);
}

/** Reads a reader to its end. */
async function readWhole(reader: LtxReader): Promise<WholeLtx> {
  const { pageSize } = reader.header;
  const pageByPgno = new Map<number, Uint8Array>();
  const checksumByPgno = new Map<number, bigint>();
  for await (const { count, pgnos, pages, checksums } of reader.pages()) {
    for (let i = 0; i < count; i++) {
      const pgno = pgnos[i] ?? 0;
      pageByPgno.set(pgno, pages.slice(i * pageSize, (i + 1) * pageSize));
      checksumByPgno.set(pgno, checksums[i] ?? 0n);
    }
  }
  return { header: reader.header, trailer: reader.trailer, pageByPgno, checksumByPgno };
}
