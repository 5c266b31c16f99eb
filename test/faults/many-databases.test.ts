// More databases than may be awake at once, made, changed and deleted at random while they are replicated.
import { test } from "vitest";
import { testManyDatabases } from "../support/many-databases.ts";

test("60 databases that are made, changed and deleted at random are replicated as they are in the end", async () => {
  await testManyDatabases({ count: 60, maxAwake: 12, steps: 400 });
});
