// The root pages that the schema names. Its table has the columns type, name, tbl_name, rootpage, sql; only the fourth is
// read. Format: https://www.sqlite.org/fileformat2.html, sections 2.1 (records) and 2.6 (schema).
import { type BtreePage, readBtreeCell, readVarint } from "./btree.ts";

const rootColumn = 3;
const bytesByIntegerType = [0, 1, 2, 3, 4, 6, 8] as const;

/**
 * Root pages of the tables and indexes on one leaf of the schema, in its order. Left out: views and triggers, which have
 * none, and entries whose number lies on an overflow page.
 */
export function schemaRootPgnos(leaf: BtreePage): readonly number[] {
  if (leaf.kind !== "table-leaf") return [];
  const roots: number[] = [];
  for (let index = 0; index < leaf.cellOffsets.length; index++) {
    const root = rootOf(readBtreeCell(leaf, index)?.local ?? new Uint8Array(0));
    if (root !== undefined && root > 0) roots.push(root);
  }
  return roots;
}

function rootOf(record: Uint8Array): number | undefined {
  const headerSize = readVarint(record, 0);
  if (headerSize === undefined || headerSize.value > record.length) return undefined;
  const headerEnd = Number(headerSize.value);
  let typeAt = headerSize.next;
  let valueAt = headerEnd;
  for (let column = 0; ; column++) {
    const type = typeAt < headerEnd ? readVarint(record, typeAt) : undefined;
    if (type === undefined || type.value > 2n ** 32n) return undefined;
    typeAt = type.next;
    const serialType = Number(type.value);
    if (column === rootColumn) return readInteger(record, valueAt, serialType);
    valueAt += valueBytes(serialType);
  }
}

/** Bytes of a value of that type. */
function valueBytes(serialType: number): number {
  if (serialType >= 12) return Math.floor((serialType - 12) / 2);
  return bytesByIntegerType[serialType] ?? (serialType === 7 ? 8 : 0);
}

/** A page number; `undefined` for what is none. */
function readInteger(record: Uint8Array, at: number, serialType: number): number | undefined {
  if (serialType === 8 || serialType === 9) return serialType - 8;
  const sizeBytes = bytesByIntegerType[serialType] ?? 0;
  if (sizeBytes === 0 || at + sizeBytes > record.length) return undefined;
  let value = 0;
  for (const byte of record.subarray(at, at + sizeBytes)) value = value * 256 + byte;
  return value <= 0xffff_ffff ? value : undefined;
}
