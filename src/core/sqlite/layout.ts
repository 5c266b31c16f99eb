// The layout of a binary header as one table, read and written through the same entries.
import { unreachable } from "../base/assert.ts";

/** One unsigned integer of a header. */
export interface Field {
  /** Bytes from the start of the header. */
  readonly offset: number;
  readonly sizeBytes: 1 | 2 | 4;
}

/** Byte order of every field of a header. */
export type ByteOrder = "big" | "little";

/** The byte order of this machine. Only SQLite's wal-index depends on it. */
export const hostByteOrder: ByteOrder =
  new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? "little" : "big";

/** Reads a field; the result is unsigned. */
export function readField(view: DataView, field: Field, order: ByteOrder = "big"): number {
  const little = order === "little";
  switch (field.sizeBytes) {
    case 1:
      return view.getUint8(field.offset);
    case 2:
      return view.getUint16(field.offset, little);
    case 4:
      return view.getUint32(field.offset, little);
    default:
      return unreachable(field.sizeBytes);
  }
}

/** Writes a field; `value` must fit it. */
export function writeField(
  view: DataView,
  field: Field,
  value: number,
  order: ByteOrder = "big",
): void {
  const little = order === "little";
  switch (field.sizeBytes) {
    case 1:
      view.setUint8(field.offset, value);
      return;
    case 2:
      view.setUint16(field.offset, value, little);
      return;
    case 4:
      view.setUint32(field.offset, value, little);
      return;
    default:
      unreachable(field.sizeBytes);
  }
}
