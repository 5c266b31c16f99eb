// Tables of frames as the index of a file would give them.
import type { PageIndexEntry } from "../../src/core/ltx/page-index.ts";
import { PageIndex } from "../../src/core/ltx/page-index.ts";
import { FrameTable } from "../../src/core/view/frame-table.ts";

/** The table of a file with these frames, which must be in ascending order. */
export function tableOf(
  file: number,
  entries: readonly PageIndexEntry[],
  { isShared = false } = {},
): FrameTable {
  const sizes = entries.map(({ sizeBytes }) => sizeBytes);
  const index = new PageIndex({
    count: entries.length,
    pgnos: Uint32Array.from(entries, ({ pgno }) => pgno),
    offsetsLow: Uint32Array.from(entries, ({ offset }) => offset),
    offsetsHigh: Uint16Array.from(entries, ({ offset }) => offset / 2 ** 32),
    sizes: Uint32Array.from(sizes),
    smallestBytes: Math.min(...sizes),
    largestBytes: Math.max(...sizes),
  });
  return FrameTable.fromIndex(file, index, { isShared });
}
