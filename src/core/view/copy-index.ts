// What a local copy of a replica's pages holds: for each page the frame that it was copied from, and its checksum. A page of the
// copy stands for its frame, wherever else that frame is asked for: so a copy is never out of date, it only holds less and
// less of what is new.
//
// As bytes it is the record that makes a copy one: written last, sealed with a checksum of itself.
import type { Codec } from "../codec/codec.ts";
import { concatBytes, viewOf } from "../base/bytes.ts";
import { isPageSize } from "../base/page.ts";
import type { ViewFile } from "./file-table.ts";
import type { FrameRef } from "./frame-table.ts";
import type { PageMap } from "./page-map.ts";

/** An object for all time. */
export type FileIdentity = Pick<ViewFile, "key" | "etag">;

/** "HWCI" */
const magic = 0x4857_4349;
/** Magic and the length of the head, which is JSON. The columns and the seal follow it. */
const prefixSizeBytes = 8;
const sealSizeBytes = 8;
/** Of a page: number of its file in the list plus one (0: none), offset, checksum. */
const rowSizeBytes = 4 + 8 + 8;

interface Head {
  readonly version: 1;
  readonly txid: string;
  readonly pageSize: number;
  readonly commit: number;
  readonly files: readonly FileIdentity[];
}

export class CopyIndex {
  readonly txid: bigint;
  readonly pageSize: number;
  /** Pages in the copy. */
  readonly commit: number;
  readonly #files: readonly FileIdentity[];
  readonly #fileOfPage: Uint32Array;
  readonly #offsets: Float64Array;
  readonly #checksums: BigUint64Array;
  /** By number in a file table: place in the list plus one, 0 for a file that is not in it. */
  readonly #placeByNumber = new Map<number, number>();

  private constructor(
    { txid, pageSize, commit, files }: Head,
    columns: readonly [Uint32Array, Float64Array, BigUint64Array],
  ) {
    this.txid = BigInt(txid);
    this.pageSize = pageSize;
    this.commit = commit;
    this.#files = files;
    [this.#fileOfPage, this.#offsets, this.#checksums] = columns;
  }

  /** Of a copy that is to be made of a map. Checksums are set as pages come. */
  static of(map: PageMap, fileOf: (number: number) => FileIdentity): CopyIndex {
    const { txid, pageSize, commit } = map;
    const columns = newColumns(commit);
    const [fileOfPage, offsets] = columns;
    const placeByNumber = new Map<number, number>();
    for (let pgno = 1; pgno <= commit; pgno++) {
      const frame = map.locate(pgno);
      if (frame === undefined) continue;
      const place = placeByNumber.get(frame.file) ?? placeByNumber.size + 1;
      placeByNumber.set(frame.file, place);
      fileOfPage[pgno - 1] = place;
      offsets[pgno - 1] = frame.offset;
    }
    const files = [...placeByNumber.keys()].map((number) => {
      const { key, etag } = fileOf(number);
      return { key, etag };
    });
    const head = { version: 1, txid: String(txid), pageSize, commit, files } as const;
    return new CopyIndex(head, columns);
  }

  /** `undefined` if the bytes are anything but a whole, unaltered record. */
  static decode(codec: Codec, bytes: Uint8Array): CopyIndex | undefined {
    const sealAt = bytes.length - sealSizeBytes;
    if (sealAt < prefixSizeBytes) return undefined;
    const view = viewOf(bytes);
    if (view.getUint32(0) !== magic) return undefined;
    if (view.getBigUint64(sealAt) !== sealOf(codec, bytes.subarray(0, sealAt))) return undefined;
    const columnsAt = prefixSizeBytes + view.getUint32(4);
    const head = parseHead(bytes.subarray(prefixSizeBytes, columnsAt));
    if (head === undefined || columnsAt + rowSizeBytes * head.commit !== sealAt) return undefined;
    const columns = newColumns(head.commit);
    let at = columnsAt;
    for (const column of columns) {
      new Uint8Array(column.buffer).set(bytes.subarray(at, at + column.byteLength));
      at += column.byteLength;
    }
    return new CopyIndex(head, columns);
  }

  /** Copied. Columns are in the order of the machine's bytes: a record is read where it was written. */
  encode(codec: Codec): Uint8Array<ArrayBuffer> {
    const { pageSize, commit } = this;
    const head: Head = {
      version: 1,
      txid: String(this.txid),
      pageSize,
      commit,
      files: this.#files,
    };
    const text = new TextEncoder().encode(JSON.stringify(head));
    const prefix = new Uint8Array(prefixSizeBytes);
    viewOf(prefix).setUint32(0, magic);
    viewOf(prefix).setUint32(4, text.length);
    const columns = [this.#fileOfPage, this.#offsets, this.#checksums].map(
      ({ buffer }) => new Uint8Array(buffer),
    );
    const body = concatBytes([prefix, text, ...columns]);
    const seal = new Uint8Array(sealSizeBytes);
    viewOf(seal).setBigUint64(0, sealOf(codec, body));
    return concatBytes([body, seal]);
  }

  get sizeBytes(): number {
    return this.commit * this.pageSize;
  }

  /** Whether the page of the copy is that frame. */
  holds(pgno: number, frame: FrameRef, fileOf: (number: number) => FileIdentity): boolean {
    const place = this.#fileOfPage[pgno - 1] ?? 0;
    return (
      place !== 0 &&
      this.#offsets[pgno - 1] === frame.offset &&
      this.#placeOf(frame.file, fileOf) === place
    );
  }

  /** The part of a map's pages that the copy does not hold, from 0 to 1. */
  missingShare(map: PageMap, fileOf: (number: number) => FileIdentity): number {
    let missing = 0;
    for (let pgno = 1; pgno <= map.commit; pgno++) {
      const frame = map.locate(pgno);
      if (frame !== undefined && !this.holds(pgno, frame, fileOf)) missing++;
    }
    return missing / Math.max(1, map.commit);
  }

  checksumOf(pgno: number): bigint {
    return this.#checksums[pgno - 1] ?? 0n;
  }

  /** While the copy is made. */
  setChecksum(pgno: number, checksum: bigint): void {
    this.#checksums[pgno - 1] = checksum;
  }

  #placeOf(number: number, fileOf: (number: number) => FileIdentity): number {
    let place = this.#placeByNumber.get(number);
    if (place === undefined) {
      const { key, etag } = fileOf(number);
      place = this.#files.findIndex((file) => file.key === key && file.etag === etag) + 1;
      this.#placeByNumber.set(number, place);
    }
    return place;
  }
}

function newColumns(commit: number): [Uint32Array, Float64Array, BigUint64Array] {
  return [new Uint32Array(commit), new Float64Array(commit), new BigUint64Array(commit)];
}

function parseHead(bytes: Uint8Array): Head | undefined {
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  return isHead(head) ? head : undefined;
}

function isHead(head: unknown): head is Head {
  return (
    typeof head === "object" &&
    head !== null &&
    "version" in head &&
    head.version === 1 &&
    "txid" in head &&
    typeof head.txid === "string" &&
    /^\d+$/u.test(head.txid) &&
    "pageSize" in head &&
    typeof head.pageSize === "number" &&
    isPageSize(head.pageSize) &&
    "commit" in head &&
    typeof head.commit === "number" &&
    Number.isSafeInteger(head.commit) &&
    head.commit >= 0 &&
    "files" in head &&
    Array.isArray(head.files) &&
    head.files.every(isIdentity)
  );
}

function isIdentity(file: unknown): file is FileIdentity {
  return (
    typeof file === "object" &&
    file !== null &&
    "key" in file &&
    typeof file.key === "string" &&
    "etag" in file &&
    typeof file.etag === "string"
  );
}

function sealOf(codec: Codec, bytes: Uint8Array): bigint {
  using kernel = codec.openKernel(512);
  kernel.hash(bytes);
  return kernel.fileChecksum;
}
