// The same as many-databases.test.ts with a thousand databases.
import { test } from "vitest";
import { testManyDatabases } from "../support/many-databases.ts";

test("1,000 databases that are made, changed and deleted at random are replicated as they are in the end", async () => {
  await testManyDatabases({ count: 1_000, maxAwake: 200, steps: 8_000 });
});
