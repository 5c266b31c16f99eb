import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { hasCode } from "../../core/base/errors.ts";
import { asksForHelp, normalizeFlags } from "./flags.ts";

const command = new Command("replicate")
  .option("-o, --output <path>")
  .option("--once")
  .option("--exec <command>")
  .option("--json");

describe("normalizeFlags", () => {
  it.each([
    [["-once"], ["--once"]],
    [["--once"], ["--once"]],
    [["-o", "x"], ["--output=x"]],
    [["-o=x"], ["--output=x"]],
    [["--o=x"], ["--output=x"]],
    [["--o", "x"], ["--output=x"]],
    [
      ["-output=x", "a", "-once"],
      ["--output=x", "a", "--once"],
    ],
    [["-o="], ["--output="]],
    [["-o=a=b"], ["--output=a=b"]],
    [["-o", "-once"], ["--output=-once"]],
    [
      ["-exec", "run -once -o x", "-json"],
      ["--exec=run -once -o x", "--json"],
    ],
    [["-exec", "--"], ["--exec=--"]],
    [["-once=true", "-json=false"], ["--once"]],
    [
      ["--", "-once", "-o", "x"],
      ["--", "-once", "-o", "x"],
    ],
    [["-o"], ["--output"]],
    [
      ["-", "db", "s3://b/p?x=-once"],
      ["-", "db", "s3://b/p?x=-once"],
    ],
    [
      ["-oxyz", "--unknown=1"],
      ["-oxyz", "--unknown=1"],
    ],
  ])("reads %j as %j", (argv, expected) => {
    expect(normalizeFlags(command, argv)).toEqual(expected);
  });

  it("refuses a switch with a value that is neither true nor false", () => {
    let failure: unknown;
    try {
      normalizeFlags(command, ["-once=maybe"]);
    } catch (error) {
      failure = error;
    }
    expect(hasCode(failure, "usage/invalid")).toBe(true);
  });
});

describe("asksForHelp", () => {
  it("sees every form of the help flag, but not the value of another flag", () => {
    for (const flag of ["-h", "-help", "--help", "--h"]) {
      expect(asksForHelp(command, ["db", flag])).toBe(true);
      expect(asksForHelp(command, ["-exec", flag])).toBe(false);
      expect(asksForHelp(command, ["--", flag])).toBe(false);
    }
  });
});
