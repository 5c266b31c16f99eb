// A follower dies before some of its calls, every fifth, to the file system.
import { expect, test } from "vitest";
import { killFollowers } from "./follow-kills.ts";

const seed = Number(process.env["HEADWATER_SEED"] ?? Date.now() % 1_000_000);
/** A different part of the calls each time; the slow tests die at each. */
const step = 5;
const first = 1 + (seed % step);

test.each([
  ["the first state", 0, 1],
  ["a run of growth, shrink and growth", 1, 4],
])(`killed at some steps of %s (HEADWATER_SEED=${seed})`, async (_, from, to) => {
  const { deaths, seen } = await killFollowers({ from, to, first, step });
  expect(deaths).toBeGreaterThan(4);
  expect(seen).toEqual(new Set([from, to]));
});
