import { describe, expect, it } from "vitest";
import { formatBytes } from "../base/quantities.ts";
import { hasCode } from "../../core/base/errors.ts";
import { formatDuration, formatTable } from "./output.ts";
import { formatBar, formatLine } from "./progress.ts";
import { parseCountFlag, parseTxidFlag } from "./values.ts";

function isRefused(work: () => unknown): boolean {
  try {
    work();
  } catch (error) {
    return hasCode(error, "usage/invalid");
  }
  return false;
}

describe("values of flags", () => {
  it("refuses short TXIDs and counts below 1", () => {
    for (const text of ["1", "0000000000000000", "000000000000000g", "00000000000000001"]) {
      expect(isRefused(() => parseTxidFlag(text))).toBe(true);
    }
    for (const text of ["0", "-1", "1.5", "", "many"]) {
      expect(isRefused(() => parseCountFlag("parallelism", text))).toBe(true);
    }
    expect(parseTxidFlag("00000000000000FF")).toBe(255n);
  });
});

describe("what people read", () => {
  it("shows sizes with three digits and durations with their unit", () => {
    expect([0, 999, 1000, 131_072_000, 1_500_000_000].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.00 kB",
      "131 MB",
      "1.50 GB",
    ]);
    expect([410, 12_300, 185_000].map(formatDuration)).toEqual(["0.41 s", "12 s", "3 min 5 s"]);
  });

  it("aligns the columns of a table", () => {
    expect(
      formatTable([
        ["a", "size"],
        ["long", "1"],
      ]),
    ).toBe("a     size\nlong  1\n");
  });

  it("shows progress as a bar and as a line", () => {
    const step = { label: "restoring app.db", doneBytes: 50_000_000, totalBytes: 100_000_000 };
    expect(formatBar(step, 500)).toBe(
      `restoring app.db  [${"=".repeat(15)}${" ".repeat(15)}]  50 %  50.0 MB of 100 MB, 100 MB/s`,
    );
    expect(formatLine(step, 500)).toBe("restoring app.db: 50 %, 50.0 MB of 100 MB, 100 MB/s");
  });
});
