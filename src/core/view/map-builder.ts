// From a plan to a map: reads the indexes of the planned files, each once, and applies them in the plan's order, which is
// that of TXIDs. Files that prove what came before them are held to it.
import { type Waiting, mapConcurrent } from "../base/async.ts";
import { must } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { Codec } from "../codec/codec.ts";
import { areContradictory } from "../ltx/header.ts";
import type { PageIndex } from "../ltx/page-index.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { type FileIndex, readFileIndex } from "./file-index.ts";
import type { FileTable, ViewFile } from "./file-table.ts";
import type { FileBytes } from "./frame-decoder.ts";
import { FrameTable } from "./frame-table.ts";
import { PageMap } from "./page-map.ts";
import type { PageProofs } from "./page-proofs.ts";
import type { WantedFrame } from "./request-plan.ts";

/** Indexes that are read at once. */
const indexReadLimit = 12;
/** Indexes that are kept for the next map, as tables. */
const maxIndexBytes = 64 * 1024 * 1024;
/** Small files that came whole with their index are kept for the cache up to this size together. */
const maxSeedBytes = 8 * 1024 * 1024;

/** A map, and the database checksum that the newest of its files proves; 0n = none. */
export interface ProvedMap {
  readonly map: PageMap;
  readonly after: bigint;
}

/** Pages that came with the index of their file. */
export interface Seed extends FileBytes {
  readonly wanted: readonly WantedFrame[];
  /** All of the file, which can prove itself. */
  readonly isWhole: boolean;
}

export interface BuiltMap extends ProvedMap {
  readonly seeds: readonly Seed[];
}

interface KnownIndex {
  readonly head: FileIndex["head"];
  readonly table: FrameTable;
  readonly seed: Seed | undefined;
}

export interface MapBuilderOptions {
  readonly store: ObjectStore;
  readonly codec: Codec;
  readonly files: FileTable;
  readonly proofs: PageProofs;
  readonly isShared: boolean;
}

export class MapBuilder {
  readonly #options: MapBuilderOptions;
  /** By number of the file; used least recently first. */
  readonly #indexes = new Map<number, Omit<KnownIndex, "seed">>();
  #indexBytes = 0;

  constructor(options: MapBuilderOptions) {
    this.#options = options;
  }

  /**
   * The map after the files of a plan, applied to `base`, or from nothing if the first of them is a full image. Throws what
   * `readFileIndex` throws, and `replica/proof` if a file proves another database before it than the one it is applied to.
   */
  async build(
    plan: readonly ViewFile[],
    { base, signal }: Waiting & { readonly base?: ProvedMap | undefined },
  ): Promise<BuiltMap> {
    let seedBytes = 0;
    const indexes = await mapConcurrent(plan, indexReadLimit, async (file) => {
      const pageSize = base?.map.pageSize;
      const { seed, ...known } = await this.#indexOf(file, { pageSize, signal });
      seedBytes += seed?.bytes.length ?? 0;
      return { file, ...known, seed: seedBytes > maxSeedBytes ? undefined : seed };
    });
    const isShared = this.#options.isShared;
    const first = indexes[0]?.head.pageSize;
    let map = base?.map ?? PageMap.empty(must(first, "a file of a plan"), { isShared });
    let after = base?.after ?? 0n;
    for (const { file, head, table } of indexes) {
      checkPageSize(file, head.pageSize, map.pageSize);
      const before = head.proof?.before ?? 0n;
      const follows = head.minTxid === map.txid + 1n && map.txid > 0n;
      if (follows && areContradictory(before, after)) throw notLinked(file);
      map = map.apply(head, table);
      after = head.proof?.after ?? 0n;
    }
    const seeds = indexes.flatMap(({ seed }) => (seed === undefined ? [] : [seed]));
    return { map, after, seeds };
  }

  /** Forgets the indexes of all other files. */
  retain(files: ReadonlySet<number>): void {
    for (const number of this.#indexes.keys()) if (!files.has(number)) this.#forget(number);
  }

  async #indexOf(
    file: ViewFile,
    { pageSize, signal }: Waiting & { readonly pageSize: number | undefined },
  ): Promise<KnownIndex> {
    const { store, codec, files, proofs, isShared } = this.#options;
    const number = files.numberOf(file);
    const known = this.#indexes.get(number);
    if (known !== undefined) {
      this.#indexes.delete(number);
      this.#indexes.set(number, known);
      return { ...known, seed: undefined };
    }
    const read = await readFileIndex(store, file, { codec, pageSize, signal });
    const { head, index, fileChecksum, start } = read;
    const table = FrameTable.fromIndex(number, index, { isShared });
    this.#keep(number, { head, table });
    files.noteChecksum(number, fileChecksum);
    if (file.checksumKey !== undefined) {
      const { checksumKey } = file;
      const { pgnos } = index.columns;
      proofs.expect(number, { checksumKey, fileChecksum, pageSize: head.pageSize, pgnos });
    }
    const wanted = framesWithin(start.length, number, index);
    if (wanted.length === 0) return { head, table, seed: undefined };
    const isWhole = start.length === file.sizeBytes;
    return { head, table, seed: { name: file.key, wanted, offset: 0, bytes: start, isWhole } };
  }

  #keep(number: number, index: Omit<KnownIndex, "seed">): void {
    this.#forget(number);
    this.#indexes.set(number, index);
    this.#indexBytes += index.table.sizeBytes;
    for (const oldest of this.#indexes.keys()) {
      if (this.#indexBytes <= maxIndexBytes) break;
      this.#forget(oldest);
    }
  }

  #forget(number: number): void {
    const index = this.#indexes.get(number);
    if (index === undefined) return;
    this.#indexBytes -= index.table.sizeBytes;
    this.#indexes.delete(number);
  }
}

/** The frames that end within the first bytes of their file. */
function framesWithin(bytes: number, file: number, index: PageIndex): readonly WantedFrame[] {
  const wanted: WantedFrame[] = [];
  for (const { pgno, offset, sizeBytes } of index) {
    if (offset + sizeBytes > bytes) break;
    wanted.push({ pgno, frame: { file, offset, sizeBytes } });
  }
  return wanted;
}

function checkPageSize({ key }: ViewFile, pageSize: number, expected: number): void {
  if (pageSize === expected) return;
  throw new HeadwaterError(
    "replica/foreign-file",
    `${key} has pages of ${pageSize} bytes, the files before it of ${expected}: it belongs to another database. ` +
      "Move it away, or read a TXID that does not need it.",
    { data: { key, pageSize, expectedPageSize: expected } },
  );
}

function notLinked({ key }: ViewFile): HeadwaterError {
  return new HeadwaterError(
    "replica/proof",
    `${key} was made from another database than the one before it: the replica holds two histories. ` +
      "Run headwater verify; TXIDs before it can be read.",
    { data: { key } },
  );
}
