// Whether the holder of a lease is at work, found out without comparing clocks: what it must change is watched.
import type { Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { describeHolder, leaseError, readLease } from "./lease-object.ts";
import type { FoundLease } from "./lease-object.ts";

export interface LeaseWatchOptions {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ttlMs: number;
  /** False: somebody else's lease is an error at once. */
  readonly mayWait: boolean;
  /** Changes with every file that is put into the replica. Asked only while somebody else's lease is watched. */
  readonly activity: (waiting: Waiting) => Promise<string>;
}

/**
 * Parts of the time to live. A challenger watches a lease, claims it, and waits before it holds it: together one TTL. A
 * holder trusts what it has read for less than a challenger waits, so clocks may run a fourth apart.
 */
export const leaseShares = Object.freeze({
  trust: 1 / 4,
  renew: 1 / 3,
  watch: 2 / 3,
  poll: 1 / 8,
  settle: 1 / 3,
});

/**
 * True: neither the lease nor the replica has changed for as long as a holder at work may be silent. False: the lease is
 * another one by now, or gone. Throws `engine/another-writer` if its holder is at work.
 */
export async function isSilent(
  found: FoundLease,
  { store, clock, logger, ttlMs, mayWait, activity }: LeaseWatchOptions,
  waiting: Waiting,
): Promise<boolean> {
  if (!mayWait) throw leaseError("is held by", found, store.url);
  const longestMs = Math.max(ttlMs, found.record?.ttlMs ?? 0);
  logger.log("warn", "lease.watched", {
    holder: describeHolder(found.record, "since"),
    waitMs: Math.round(longestMs * (leaseShares.watch + leaseShares.settle)),
    hint: "another writer may be at work; --take-over does not wait",
  });
  const before = await activity(waiting);
  const endMs = clock.monotonicMs() + longestMs * leaseShares.watch;
  while (clock.monotonicMs() < endMs) {
    await clock.sleep(longestMs * leaseShares.poll, waiting);
    if ((await activity(waiting)) !== before) throw leaseError("is held by", found, store.url);
    const now = await readLease(store, waiting);
    if (now?.etag === found.etag) continue;
    const isSame = found.record !== undefined && now?.record?.nonce === found.record.nonce;
    if (isSame) throw leaseError("is held by", found, store.url);
    return false;
  }
  return true;
}
