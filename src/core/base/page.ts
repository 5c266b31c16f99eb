// Facts of SQLite's file format that every layer needs (https://www.sqlite.org/fileformat2.html).

/** A power of two from 512 to 65536. */
export function isPageSize(value: number): boolean {
  return value >= 512 && value <= 65536 && (value & (value - 1)) === 0;
}

/** The page that holds SQLite's lock bytes at 1 GiB. It is never stored, sent or checksummed. */
export function lockPgno(pageSize: number): number {
  return Math.floor(0x4000_0000 / pageSize) + 1;
}

/** Pages of a database of `commit` pages that carry data: all but the lock page. */
export function dataPageCount(commit: number, pageSize: number): number {
  return commit >= lockPgno(pageSize) ? commit - 1 : commit;
}
