import { expect, test } from "vitest";
import { createLineLogger } from "./line-logger.ts";
import type { LineLoggerOptions } from "./line-logger.ts";

function lines(level: string, options: Partial<LineLoggerOptions> = {}): string[] {
  const printed: string[] = [];
  const logger = createLineLogger((text) => printed.push(text), { level, ...options });
  logger.log("debug", "ltx.uploaded", { level: 0, txid: 5n });
  logger.log("warn", "database.waiting", { why: "it is locked" });
  return printed;
}

test("lines for people have the time, the level, the event and its fields", () => {
  const [first, second] = lines("debug");
  expect(first).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z DEBUG ltx\.uploaded level=0 txid=5\n$/u);
  expect(second).toMatch(/ WARN database\.waiting why="it is locked"\n$/u);
});

test("JSON lines hold the same, with the level of a file apart from the level of the line", () => {
  expect(lines("debug", { type: "json" }).map((line) => JSON.parse(line))).toEqual([
    { time: expect.any(String), level: "DEBUG", msg: "ltx.uploaded", ltx_level: 0, txid: "5" },
    { time: expect.any(String), level: "WARN", msg: "database.waiting", why: "it is locked" },
  ]);
});

test("events below the level are left out", () => {
  expect(lines("warning")).toHaveLength(1);
  expect(lines("error")).toEqual([]);
});

test("lines for somebody who looks on are short, and coloured on a terminal only", () => {
  expect(lines("debug", { type: "pretty" })).toEqual([
    expect.stringMatching(/^\d\d:\d\d:\d\d DEBUG ltx\.uploaded +level=0 txid=5\n$/u),
    expect.stringMatching(/^\d\d:\d\d:\d\d WARN {2}database\.waiting +why="it is locked"\n$/u),
  ]);
  const [, coloured = ""] = lines("debug", { type: "pretty", isTerminal: true });
  expect(coloured).toContain("\u001B[33mWARN \u001B[39m database.waiting");
});
