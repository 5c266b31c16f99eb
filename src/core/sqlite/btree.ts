// B-tree pages: what kind a page is, its cells, its children and where its payloads overflow to. Not a byte is trusted:
// overflow and freelist pages may look like b-tree pages, and a page may be damaged, so everything is bounded by the page
// and `undefined` means "not such a page". Format: https://www.sqlite.org/fileformat2.html, section 1.6.
import { viewOf } from "../base/bytes.ts";
import { databaseHeaderSizeBytes } from "./database-header.ts";

export type BtreeKind = "table-leaf" | "table-interior" | "index-leaf" | "index-interior";

const kindByFlag: ReadonlyMap<number, BtreeKind> = new Map([
  [2, "index-interior"],
  [5, "table-interior"],
  [10, "index-leaf"],
  [13, "table-leaf"],
]);

/** Where each field of a page header lies, from its start: [offset, size] in bytes. The last is of interior pages only. */
const btreeHeaderLayout = {
  flag: [0, 1],
  firstFreeblock: [1, 2],
  cellCount: [3, 2],
  contentStart: [5, 2],
  fragmentedBytes: [7, 1],
  rightChild: [8, 4],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;

const leafHeaderSizeBytes = 8;
const interiorHeaderSizeBytes = 12;
const pgnoSizeBytes = 4;
/** SQLite's limit for a payload is 2^31 - 1 bytes. */
const maxPayloadBytes = 2 ** 31 - 1;
const maxVarintBytes = 9;

/** A page whose header and cell pointers are sound. Its cells are judged one by one. */
export interface BtreePage {
  readonly kind: BtreeKind;
  /** Offsets of the cells in the page, in key order. */
  readonly cellOffsets: Uint16Array;
  /** The child right of all cells; `undefined` in a leaf. */
  readonly rightChild: number | undefined;
  /** The page without its reserved end. Borrowed. */
  readonly bytes: Uint8Array;
}

/** One cell. */
export interface BtreeCell {
  /** Of interior pages. */
  readonly leftChild: number | undefined;
  /** Of table pages. */
  readonly rowid: bigint | undefined;
  /** All of the payload, of which `local` is what lies in the page. 0 in a table's interior pages. */
  readonly payloadSizeBytes: number;
  /** Borrowed. */
  readonly local: Uint8Array;
  /** First page of the rest. */
  readonly overflowPgno: number | undefined;
}

/** `usableBytes` is the page size without the reserved bytes of the database header. */
export function decodeBtreePage(
  page: Uint8Array,
  { pgno, usableBytes }: { readonly pgno: number; readonly usableBytes: number },
): BtreePage | undefined {
  const at = pgno === 1 ? databaseHeaderSizeBytes : 0;
  const kind = kindByFlag.get(page[at] ?? 0);
  if (kind === undefined || usableBytes > page.length) return undefined;
  const bytes = page.subarray(0, usableBytes);
  const view = viewOf(bytes);
  const isInterior = isInteriorKind(kind);
  const pointersAt = at + (isInterior ? interiorHeaderSizeBytes : leafHeaderSizeBytes);
  const cellCount = view.getUint16(at + btreeHeaderLayout.cellCount[0]);
  const pointersEnd = pointersAt + 2 * cellCount;
  if (pointersEnd > usableBytes) return undefined;
  const cellOffsets = new Uint16Array(cellCount);
  for (let index = 0; index < cellCount; index++) {
    const offset = view.getUint16(pointersAt + 2 * index);
    if (offset < pointersEnd || offset + pgnoSizeBytes > usableBytes) return undefined;
    cellOffsets[index] = offset;
  }
  const rightChild = isInterior ? view.getUint32(at + btreeHeaderLayout.rightChild[0]) : undefined;
  if (rightChild !== undefined && rightChild < 2) return undefined;
  return { kind, cellOffsets, rightChild, bytes };
}

/** Whether a page looks like an interior one: tells leaves, which are most pages, apart without decoding them. */
export function looksInterior(page: Uint8Array, pgno: number): boolean {
  const kind = kindByFlag.get(page[pgno === 1 ? databaseHeaderSizeBytes : 0] ?? 0);
  return kind !== undefined && isInteriorKind(kind);
}

export function isInteriorKind(kind: BtreeKind): boolean {
  return kind === "table-interior" || kind === "index-interior";
}

/** The children of an interior page in key order; none of a leaf. `undefined` if one of them cannot be a page. */
export function childPgnos({ bytes, cellOffsets, rightChild }: BtreePage): Uint32Array | undefined {
  if (rightChild === undefined) return new Uint32Array(0);
  const view = viewOf(bytes);
  const children = new Uint32Array(cellOffsets.length + 1);
  for (const [index, offset] of cellOffsets.entries()) children[index] = view.getUint32(offset);
  children[cellOffsets.length] = rightChild;
  return children.some((child) => child < 2) ? undefined : children;
}

/** The `index`th cell; `undefined` if there is none or it does not fit the page. */
export function readBtreeCell(page: BtreePage, index: number): BtreeCell | undefined {
  const { kind, bytes } = page;
  const view = viewOf(bytes);
  const offset = page.cellOffsets[index];
  if (offset === undefined) return undefined;
  const isInterior = isInteriorKind(kind);
  const leftChild = isInterior ? view.getUint32(offset) : undefined;
  let at = offset + (isInterior ? pgnoSizeBytes : 0);
  let payloadSizeBytes = 0;
  if (kind !== "table-interior") {
    const size = readVarint(bytes, at);
    if (size === undefined || size.value > maxPayloadBytes) return undefined;
    payloadSizeBytes = Number(size.value);
    at = size.next;
  }
  let rowid: bigint | undefined;
  if (kind === "table-leaf" || kind === "table-interior") {
    const key = readVarint(bytes, at);
    if (key === undefined) return undefined;
    rowid = BigInt.asIntN(64, key.value);
    at = key.next;
  }
  const localBytes = localPayloadBytes(kind, payloadSizeBytes, bytes.length);
  const overflows = localBytes < payloadSizeBytes;
  const end = at + localBytes;
  if (end + (overflows ? pgnoSizeBytes : 0) > bytes.length) return undefined;
  const overflowPgno = overflows ? view.getUint32(end) : undefined;
  if (overflowPgno !== undefined && overflowPgno < 2) return undefined;
  return { leftChild, rowid, payloadSizeBytes, local: bytes.subarray(at, end), overflowPgno };
}

/** The page after one of an overflow chain; 0 ends it. */
export function nextOverflowPgno(page: Uint8Array): number {
  return page.length < pgnoSizeBytes ? 0 : viewOf(page).getUint32(0);
}

/** How much of a payload lies in the page: section 1.6, "Cell payload overflow". */
function localPayloadBytes(kind: BtreeKind, payloadBytes: number, usableBytes: number): number {
  const maxLocal =
    kind === "table-leaf" ? usableBytes - 35 : Math.floor(((usableBytes - 12) * 64) / 255) - 23;
  if (payloadBytes <= maxLocal) return payloadBytes;
  const minLocal = Math.floor(((usableBytes - 12) * 32) / 255) - 23;
  const fitting = minLocal + ((payloadBytes - minLocal) % (usableBytes - 4));
  return fitting <= maxLocal ? fitting : minLocal;
}

export interface SqliteVarint {
  /** 64 bits, unsigned. */
  readonly value: bigint;
  readonly next: number;
}

/** SQLite's varint: 7 bits a byte, big-endian, all 8 of a ninth. `undefined` if it is cut off. */
export function readVarint(bytes: Uint8Array, at: number): SqliteVarint | undefined {
  let value = 0n;
  for (let i = 0; i < maxVarintBytes; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    if (i === maxVarintBytes - 1) {
      return { value: (value << 8n) | BigInt(byte), next: at + maxVarintBytes };
    }
    value = (value << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  return undefined;
}
