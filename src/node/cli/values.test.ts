import { describe, expect, it } from "vitest";
import { hasCode } from "../../core/base/errors.ts";
import { formatBytes, formatDuration, formatTable } from "./output.ts";
import { formatBar, formatLine } from "./progress.ts";
import { parseCountFlag, parseTimestampFlag, parseTxidFlag } from "./values.ts";

function isRefused(work: () => unknown): boolean {
  try {
    work();
  } catch (error) {
    return hasCode(error, "usage/invalid");
  }
  return false;
}

describe("values of flags", () => {
  it("takes RFC 3339 times with their zone, rounding finer fractions up to the next millisecond", () => {
    const times: Readonly<Record<string, string>> = {
      "2026-11-22T13:44:30Z": "2026-11-22T13:44:30.000Z",
      "2026-11-22t13:44:30.5z": "2026-11-22T13:44:30.500Z",
      "2026-11-22T15:44:46+02:00": "2026-11-22T13:44:46.000Z",
      "2026-11-22T13:44:30.004Z": "2026-11-22T13:44:30.004Z",
      "2026-11-22T13:44:30.0040001Z": "2026-11-22T13:44:30.005Z",
      "2026-11-22T13:44:59.9999Z": "2026-11-22T13:45:00.000Z",
    };
    for (const [text, expected] of Object.entries(times)) {
      expect(parseTimestampFlag(text).toISOString()).toBe(expected);
    }
  });

  it("rounds no millisecond to the next one", () => {
    for (let ms = 0; ms < 1000; ms++) {
      const text = `2026-11-22T13:44:30.${String(ms).padStart(3, "0")}Z`;
      expect(parseTimestampFlag(text).toISOString()).toBe(text);
    }
  });

  it("refuses times without a zone or that do not exist, short TXIDs and counts below 1", () => {
    for (const text of ["yesterday", "2026-11-22", "2026-11-22T13:44:30", "2026-13-01T00:00:00Z"]) {
      expect(isRefused(() => parseTimestampFlag(text))).toBe(true);
    }
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
