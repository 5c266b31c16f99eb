// Makes a local copy of every page of a view: whole files are read, which proves each by its own checksum, and the database by
// what its newest file says of it.
import type { Waiting } from "../base/async.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { Codec } from "../codec/codec.ts";
import { openLtx } from "../ltx/decoder.ts";
import { areContradictory } from "../ltx/header.ts";
import { PageChecksums } from "../ltx/page-checksums.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { CopyIndex } from "./copy-index.ts";
import type { ViewFile } from "./file-table.ts";
import type { ProvedMap } from "./map-builder.ts";
import { readRange } from "./read-range.ts";

/** One request. The next is on its way while one is decoded. */
const rangeBytes = 8 * 1024 * 1024;

export interface CopyPagesOptions extends Waiting {
  readonly store: ObjectStore;
  readonly codec: Codec;
  readonly state: ProvedMap;
  readonly fileOf: (number: number) => ViewFile;
  /** Puts bytes at a place of the copy. They are borrowed until it resolves. */
  readonly write: (bytes: Uint8Array, offset: number) => Promise<void>;
  /** Bytes of files that have been read, and of all. */
  readonly onProgress?: ((readBytes: number, totalBytes: number) => void) | undefined;
}

/**
 * Writes every page of the map to its place, which has to hold zeros before. Throws `replica/proof` if the database is another
 * one than its files prove, `ltx/*` for a damaged file, `store/changed` for one that is gone, and what `write` and the store throw.
 */
export async function copyPages(options: CopyPagesOptions): Promise<CopyIndex> {
  const { state, fileOf } = options;
  const { map, after } = state;
  const index = CopyIndex.of(map, fileOf);
  const table = new PageChecksums(map.pageSize);
  table.truncate(map.commit);
  // Now, because they may be forgotten while they are read.
  const files = [...map.files()].map((number) => ({ number, file: fileOf(number) }));
  const totalBytes = files.reduce((sum, { file }) => sum + file.sizeBytes, 0);
  let readBytes = 0;
  const progress = (sizeBytes: number): void => {
    readBytes += sizeBytes;
    options.onProgress?.(readBytes, totalBytes);
  };
  for (const { number, file } of files) {
    await copyFile(number, file, { ...options, index, table, progress });
  }
  if (!areContradictory(table.databaseChecksum, after)) return index;
  throw new HeadwaterError(
    "replica/proof",
    "The pages that were copied make another database than the replica's files prove. Run headwater verify.",
    { data: { txid: map.txid } },
  );
}

async function copyFile(
  number: number,
  file: ViewFile,
  {
    store,
    codec,
    state: { map },
    write,
    signal,
    index,
    table,
    progress,
  }: CopyPagesOptions & {
    readonly index: CopyIndex;
    readonly table: PageChecksums;
    readonly progress: (sizeBytes: number) => void;
  },
): Promise<void> {
  const { pageSize } = map;
  const chunks = rangesOf(store, file, { signal, progress });
  const reader = await openLtx(codec, chunks, { name: file.key, signal });
  for await (const { count, pgnos, pages, checksums } of reader.pages()) {
    const isWanted = (at: number): boolean => map.locate(pgnos[at] ?? 0)?.file === number;
    for (let from = 0; from < count;) {
      if (!isWanted(from)) {
        from++;
        continue;
      }
      // Pages that follow each other are one write.
      const first = pgnos[from] ?? 0;
      let to = from;
      while (to < count && isWanted(to) && pgnos[to] === first + to - from) {
        const pgno = pgnos[to] ?? 0;
        const checksum = checksums[to] ?? 0n;
        index.setChecksum(pgno, checksum);
        table.set(pgno, checksum);
        to++;
      }
      await write(pages.subarray(from * pageSize, to * pageSize), (first - 1) * pageSize);
      from = to;
    }
  }
}

async function* rangesOf(
  store: ObjectStore,
  file: ViewFile,
  { signal, progress }: Waiting & { readonly progress: (sizeBytes: number) => void },
): AsyncGenerator<Uint8Array, void, undefined> {
  const read = (offset: number): Promise<Uint8Array> | undefined => {
    const length = Math.min(rangeBytes, file.sizeBytes - offset);
    if (length <= 0) return undefined;
    const reading = readRange(store, file, { offset, length, signal });
    // Awaited in its turn; until then its failure is nobody's.
    reading.catch(() => undefined);
    return reading;
  };
  let next = read(0);
  for (let offset = 0; next !== undefined; offset += rangeBytes) {
    const bytes: Uint8Array = await next;
    next = read(offset + rangeBytes);
    progress(bytes.length);
    yield bytes;
  }
}
