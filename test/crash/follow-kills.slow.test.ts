// A follower dies before each of its calls to the file system.
import { expect, test } from "vitest";
import { killFollowers } from "./follow-kills.ts";

test.each([
  ["the first state", 0, 1],
  ["growth", 1, 2],
  ["a shrink", 2, 3],
  ["a run of growth, shrink and growth", 1, 4],
])("killed at each step of %s", async (_, from, to) => {
  const { deaths, seen } = await killFollowers({ from, to, first: 1, step: 1 });
  expect(deaths).toBeGreaterThan(20);
  expect(seen).toEqual(new Set([from, to]));
});
