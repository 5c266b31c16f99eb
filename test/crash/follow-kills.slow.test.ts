// A follower dies before each of its calls to the file system.
import { expect, test } from "vitest";
import { killFollowers, killGoingBack, killHealing } from "./follow-kills.ts";

const turns = { first: 1, step: 1 };

test.each([
  ["the first state", () => killFollowers({ from: 0, to: 1, ...turns })],
  ["growth", () => killFollowers({ from: 1, to: 2, ...turns })],
  ["a shrink", () => killFollowers({ from: 2, to: 3, ...turns })],
  ["a run of growth, shrink and growth", () => killFollowers({ from: 1, to: 4, ...turns })],
  ["healing by pages", () => killHealing(turns)],
  ["going back by pages", () => killGoingBack(turns)],
])("killed at each step of %s", async (_, kill) => {
  const { deaths, seen } = await kill();
  expect(deaths).toBeGreaterThan(20);
  expect(seen).toEqual(new Set(["old", "new"]));
});
