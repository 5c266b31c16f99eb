// A follower dies before some of its calls, every fifth, to the file system.
import { expect, test } from "vitest";
import { killFollowers, killGoingBack, killHealing } from "./follow-kills.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
/** A different part of the calls each time; the slow tests die at each. */
const step = 5;
const first = 1 + (seed % step);

test.each([
  ["the first state", () => killFollowers({ from: 0, to: 1, first, step })],
  ["a run of growth, shrink and growth", () => killFollowers({ from: 1, to: 4, first, step })],
  ["healing by pages", () => killHealing({ first, step })],
  ["going back by pages", () => killGoingBack({ first, step })],
])(`killed at some steps of %s (HEADWATER_SEED=${seed})`, async (_, kill) => {
  const { deaths, seen } = await kill();
  expect(deaths).toBeGreaterThan(4);
  expect(seen).toEqual(new Set(["old", "new"]));
});
