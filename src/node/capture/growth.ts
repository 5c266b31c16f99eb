// Growth that SQLite did not write. A database can grow by pages of which no frame exists: SQLite reads such a page
// from the newest earlier frame of this generation, else from the database file, else as zeros. So do we.
import { must } from "../../core/base/assert.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { databasePlace } from "./page-reader.ts";
import type { PendingPages } from "./pending.ts";

/** Completes `pending`, which ends at frame `lastFrame` of the current generation, by its unwritten growth. */
export function fillGrowth(pending: PendingPages, files: DatabaseFiles, lastFrame: number): void {
  const missing = pending.missingGrowth();
  if (missing.length === 0) return;
  const placeByPgno = new Map<number, number>();
  const wanted = new Set(missing);
  const pgnos = files.readFramePgnos(1, lastFrame);
  for (let frame = lastFrame; frame >= 1 && wanted.size > 0; frame--) {
    const pgno = must(pgnos[frame - 1], "page number of a frame");
    if (wanted.delete(pgno)) placeByPgno.set(pgno, frame);
  }
  // What is left is read from the database file, which reads as zeros beyond its end.
  for (const pgno of wanted) placeByPgno.set(pgno, databasePlace);
  pending.fillGrowth(placeByPgno);
}
