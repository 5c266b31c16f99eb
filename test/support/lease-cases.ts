// What a lease must do in every store, with real requests and a clock that jumps over every wait.
import { expect } from "vitest";
import { silentLogger } from "../../src/core/base/log.ts";
import { leaseKey, readLease } from "../../src/core/replica/lease-object.ts";
import { Lease } from "../../src/core/replica/lease.ts";
import type { LeaseMemory, LeaseOptions } from "../../src/core/replica/lease.ts";
import { createFaultyStore } from "../../src/core/testing/faulty-store.ts";
import type { StoreFault } from "../../src/core/testing/faulty-store.ts";
import { VirtualClock } from "../../src/core/testing/virtual-clock.ts";
import type { ObjectStore } from "../../src/core/store/object-store.ts";
import { systemRandom } from "../../src/node/base/clock.ts";

/** A replica of its own, several processes on it, and the clock they share. */
interface LeaseScene {
  readonly store: ObjectStore;
  readonly clock: VirtualClock;
  readonly contender: (options?: Partial<LeaseOptions>) => Lease;
}

export interface LeaseCase {
  readonly name: string;
  readonly run: (openStore: () => ObjectStore) => Promise<void>;
}

function leaseMemory(): LeaseMemory {
  let nonces: readonly string[] = [];
  return {
    recall: async () => nonces,
    remember: async (all) => {
      nonces = all;
    },
  };
}

function leaseCase(name: string, run: (scene: LeaseScene) => Promise<void>): LeaseCase {
  return {
    name,
    run: async (openStore) => {
      await using store = openStore();
      const clock = new VirtualClock({ isEager: true });
      let count = 0;
      const contender = (options?: Partial<LeaseOptions>): Lease =>
        new Lease({
          store,
          clock,
          random: systemRandom,
          logger: silentLogger,
          nodeId: BigInt(++count),
          owner: `host-${count}:1`,
          ttlMs: 30_000,
          takeOver: false,
          mayWait: true,
          memory: leaseMemory(),
          activity: async () => "",
          ...options,
        });
      await run({ store, clock, contender });
    },
  };
}

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

export const leaseCases: readonly LeaseCase[] = [
  leaseCase("of ten that start at once one has it, and the others name it", async (scene) => {
    const leases = times(10, () => scene.contender({ mayWait: false }));
    const results = await Promise.allSettled(leases.map((lease) => lease.hold({})));
    const losers = results.flatMap((result) =>
      result.status === "rejected" ? [String(result.reason)] : [],
    );
    expect(losers).toHaveLength(9);
    const holder = (await readLease(scene.store, {}))?.record?.owner ?? "nobody";
    expect(losers.filter((text) => text.includes(`(${holder})`))).toHaveLength(9);
  }),

  leaseCase("of five that find a silent holder at most one trusts to have it", async (scene) => {
    const before = scene.contender();
    await before.hold({});
    const leases = times(5, () => scene.contender());
    const results = await Promise.allSettled(leases.map((lease) => lease.hold({})));
    expect(results.filter(({ status }) => status === "fulfilled").length).toBeGreaterThan(0);
    expect(leases.filter((lease) => lease.isTrusted).length).toBeLessThanOrEqual(1);
    await expect(before.hold({})).rejects.toThrow(/was taken by/u);
  }),

  leaseCase("a restart goes on, and what it replaces is lost", async ({ contender, clock }) => {
    const memory = leaseMemory();
    const first = contender({ memory });
    await first.hold({});
    const startMs = clock.monotonicMs();
    await contender({ memory }).hold({});
    expect(clock.monotonicMs()).toBe(startMs);
    await clock.sleep(30_000, {});
    await expect(first.hold({})).rejects.toThrow(/was taken by/u);
  }),

  leaseCase("it is confirmed, renewed and released", async ({ store, contender, clock }) => {
    const lease = contender();
    await lease.hold({});
    const before = await readLease(store, {});
    await clock.sleep(30_000, {});
    await lease.hold({});
    expect(await readLease(store, {})).toEqual(before);
    const { signal } = new AbortController();
    const renewed = async (): Promise<void> => {
      for (let etag = before?.etag; etag === before?.etag;) {
        etag = (await readLease(store, {}))?.etag;
      }
    };
    await lease.during(renewed, { signal });
    const after = await readLease(store, {});
    expect(after?.record?.nonce).toBe(before?.record?.nonce);
    expect(after?.record?.renewedAtMs).toBeGreaterThan(before?.record?.renewedAtMs ?? Infinity);
    await lease.release({});
    expect(await store.head(leaseKey, {})).toBeUndefined();
  }),

  ...(["lose-reply", "fail"] as const).map((kind) =>
    leaseCase(
      `a first put that meets ${kind} is settled by reading`,
      async ({ store, contender, clock }) => {
        const faults: StoreFault[] = [{ kind }];
        const plan = ({ operation }: { operation: string }): StoreFault | undefined =>
          operation === "put" ? faults.pop() : undefined;
        const lease = contender({ store: createFaultyStore(store, { clock, plan }) });
        if (kind === "fail")
          await expect(lease.hold({})).rejects.toMatchObject({ code: "store/unavailable" });
        await lease.hold({});
        expect(lease.isTrusted).toBe(true);
        await expect(contender({ mayWait: false }).hold({})).rejects.toThrow(/is held by/u);
      },
    ),
  ),
];
