// The suite on the memory store and on every wrapper around it.
import { describe, expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import { createFaultyStore } from "../testing/faulty-store.ts";
import { objectStoreCases } from "../testing/object-store-suite.ts";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { createLimitedStore } from "./limited-store.ts";
import { createLoggedStore } from "./logged-store.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { createPrefixedStore } from "./prefixed-store.ts";
import { createRetryingStore } from "./retrying-store.ts";

const clock = new VirtualClock({ isEager: true });
const logger = silentLogger;
const memory = (): ObjectStore => createMemoryStore({ clock });

const stores: Readonly<Record<string, () => ObjectStore>> = {
  memory,
  retrying: () =>
    createRetryingStore(memory(), { clock, random: createSeededRandom(1), logger, attempts: 3 }),
  "limited to one": () => createLimitedStore(memory(), { limit: 1 }),
  prefixed: () => createPrefixedStore(memory(), "some/where/"),
  "prefixed within a name": () => createPrefixedStore(memory(), "some/where-"),
  logged: () => createLoggedStore(memory(), { clock, logger }),
  "faulty without faults": () => createFaultyStore(memory(), { clock, plan: () => undefined }),
};

for (const [kind, open] of Object.entries(stores)) {
  describe(`store in memory, ${kind}`, () => {
    test.for(objectStoreCases)("$name", async ({ run }) => {
      await expect(run(async () => open())).resolves.toBeUndefined();
    });
  });
}
