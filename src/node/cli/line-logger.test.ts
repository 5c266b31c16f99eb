import { expect, test } from "vitest";
import { createLineLogger } from "./line-logger.ts";

function lines(level: string, json: boolean): string[] {
  const printed: string[] = [];
  const logger = createLineLogger((text) => printed.push(text), { level, json });
  logger.log("debug", "ltx.uploaded", { level: 0, txid: 5n });
  logger.log("warn", "database.waiting", { why: "it is locked" });
  return printed;
}

test("lines for people have the time, the level, the event and its fields", () => {
  const [first, second] = lines("debug", false);
  expect(first).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z DEBUG ltx\.uploaded level=0 txid=5\n$/u);
  expect(second).toMatch(/ WARN database\.waiting why="it is locked"\n$/u);
});

test("JSON lines hold the same, with the level of a file apart from the level of the line", () => {
  expect(lines("debug", true).map((line) => JSON.parse(line))).toEqual([
    { time: expect.any(String), level: "DEBUG", msg: "ltx.uploaded", ltx_level: 0, txid: "5" },
    { time: expect.any(String), level: "WARN", msg: "database.waiting", why: "it is locked" },
  ]);
});

test("events below the level are left out", () => {
  expect(lines("warning", false)).toHaveLength(1);
  expect(lines("error", false)).toEqual([]);
});
