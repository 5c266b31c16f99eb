// Pages that are to be written into the output in one transaction, and where they lie meanwhile.
import type { OpenFile } from "../../core/base/file-system.ts";

/** Bytes of pages held in memory at a time. */
const runSizeBytes = 1024 * 1024;

export interface PageChange {
  /** Afterwards. If it was another, the change holds every page and keeps none. */
  readonly pageSize: number;
  /** Pages up to this one stay where they are unless the change holds them; those above are gone. */
  readonly keep: number;
  /** Size of the database afterwards, in pages. What it grew by and no page is held of is zeros. */
  readonly commit: number;
  /** Page numbers, ascending. */
  readonly pgnos: Uint32Array;
  readonly source: OpenFile;
  /** Where a page of `pgnos` lies in the source. */
  readonly offsetOf: (pgno: number) => number;
}

/** Pages with consecutive numbers. */
export interface PageRun {
  readonly first: number;
  /** Borrowed until the next run. */
  readonly pages: Uint8Array;
}

/** The pages of a change in runs. */
export async function* readRuns(change: PageChange): AsyncGenerator<PageRun, void> {
  const { pgnos, pageSize, source, offsetOf } = change;
  const buffer = new Uint8Array(Math.max(runSizeBytes, pageSize));
  for (const { from, to } of splitRuns(pgnos, buffer.length / pageSize)) {
    const pages = buffer.subarray(0, (to - from) * pageSize);
    for (let at = from; at < to;) {
      const start = at;
      const offset = offsetOf(pgnos[at] ?? 0);
      do at++;
      while (at < to && offsetOf(pgnos[at] ?? 0) === offset + (at - start) * pageSize);
      await source.read(pages.subarray((start - from) * pageSize, (at - from) * pageSize), offset);
    }
    yield { first: pgnos[from] ?? 0, pages };
  }
}

/** Where numbers follow each other: index ranges of `pgnos`, each at most `limit` long. */
function* splitRuns(
  pgnos: Uint32Array,
  limit: number,
): Generator<{ readonly from: number; readonly to: number }, void> {
  for (let from = 0; from < pgnos.length;) {
    const first = pgnos[from] ?? 0;
    let to = from + 1;
    while (to < pgnos.length && to - from < limit && pgnos[to] === first + (to - from)) to++;
    yield { from, to };
    from = to;
  }
}

/** Page 1, if the change holds it. */
export async function readFirstPage(change: PageChange): Promise<Uint8Array | undefined> {
  if (change.pgnos[0] !== 1) return undefined;
  const page = new Uint8Array(change.pageSize);
  await change.source.read(page, change.offsetOf(1));
  return page;
}
