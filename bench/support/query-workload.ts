// What the benchmarks of queries ask of the reference database, the same for all that are compared.

/** One row by its key. */
export const lookupSql = "SELECT id, key, body FROM rows WHERE id = ?";
/** Reads every page of the table, and gives one row. */
export const scanSql = "SELECT count(*) AS n, sum(length(body)) AS size FROM rows";
/** Reads every leaf of the index, whose pages lie anywhere in the file. */
export const countSql = "SELECT count(*) AS n FROM rows";
/** Every row, as an object. */
export const rowsSql = "SELECT id, key, body FROM rows";

const rowCount = 230_000;

/** A hundred rows from all over the table, over and over. */
export const hotIds: readonly number[] = Array.from(
  { length: 6000 },
  (_, i) => 1 + (i % 100) * (rowCount / 100),
);

/** Of one process that opens a replica, reads a row, then all of them, then some again and again. */
export interface QueryTimes {
  /** Loading the code: the module and SQLite, or the extension. */
  readonly loadMs: number;
  /** From the call that opens the replica to its first row. */
  readonly firstRowMs: number;
  readonly scanMs: number;
  readonly lookupsMs: number;
  /** What the scan found. */
  readonly found: string;
}

/** Of one process that has a local copy of a replica made, then reads every row, then some again and again. */
export interface HydrationTimes extends Pick<QueryTimes, "scanMs" | "lookupsMs" | "found"> {
  /** From the call that opens the replica until queries run on the copy. */
  readonly hydrationMs: number;
}

/** How long a piece of work takes. */
export async function timed(work: () => Promise<unknown> | void): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
