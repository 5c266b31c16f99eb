// When files were put into the replicas of a database, as far as its rests keep it. Retention has to know, because a
// restore may read by a plan that is as old as the grace period; and rests may follow each other closer than that.
import type { Clock } from "../../core/base/clock.ts";

/** What is put within this of the time in its header is not remembered one by one. */
export const promptMs = 10_000;

/** More than so many, after a long outage for instance, are not kept while a database rests. */
const mostLateFiles = 1_000;

export interface PutTimes {
  /** On the clock that nobody sets, ms: this process knows of all files that were put since. */
  readonly sinceMs: number;
  /** Of each replica the files that were put later than promptly, by their keys: when, wall clock, ms. */
  readonly lateByReplica: readonly ReadonlyMap<string, number>[];
}

/** Nothing is known of what was put before now. */
export function newPutTimes(clock: Clock): PutTimes {
  return { sinceMs: clock.monotonicMs(), lateByReplica: [] };
}

/** What is kept from `lateByReplica` of an engine that went on from `before`: nothing that is older than `graceMs`. */
export function keepPutTimes(
  { sinceMs }: PutTimes,
  lateByReplica: PutTimes["lateByReplica"],
  { clock, graceMs }: { readonly clock: Clock; readonly graceMs: number },
): PutTimes {
  const oldestMs = clock.nowMs() - graceMs - promptMs;
  const kept = lateByReplica.map(
    (late) => new Map([...late].filter(([, putAtMs]) => putAtMs > oldestMs)),
  );
  const count = kept.reduce((sum, { size }) => sum + size, 0);
  return count > mostLateFiles ? newPutTimes(clock) : { sinceMs, lateByReplica: kept };
}
