import { expect, test } from "vitest";
import { parseMonthlyCost } from "./money.ts";

test.for([
  ["$1/month", 1],
  ["$ 0.50 / month", 0.5],
  ["1 USD/month", 1],
  ["2.5usd/Month", 2.5],
  ["$12/year", 1],
  [" 6 USD / year ", 0.5],
] as const)("%j is %d dollars a month", ([text, usd]) => {
  expect(parseMonthlyCost(text)).toBe(usd);
});

test.for([
  "",
  "1",
  "$1",
  "1/month",
  "$1/day",
  "-$1/month",
  "$-1/month",
  "$0/month",
  "1 EUR/month",
  "$1e3/month",
  "$.5/month",
])("%j is no price", (text) => {
  expect(parseMonthlyCost(text)).toBeUndefined();
});
