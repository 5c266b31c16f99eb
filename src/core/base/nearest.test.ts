import { expect, test } from "vitest";
import { nearestOf } from "./nearest.ts";

const known = ["endpoint", "region", "part-size", "force-path-style"];

test.for([
  ["endpont", "endpoint"],
  ["REGION", "region"],
  ["partsize", "part-size"],
  ["force-path", "force-path-style"],
  ["xyzzy", undefined],
  ["", undefined],
] as const)("%s was meant to be %s", ([word, expected]) => {
  expect(nearestOf(word, known)).toBe(expected);
});
