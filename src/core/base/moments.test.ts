// Moments in words. The zone is set, so that local times mean the same everywhere.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeadwaterError } from "./errors.ts";
import { parseMoment } from "./moments.ts";

const zoneBefore = process.env["TZ"];
beforeAll(() => {
  process.env["TZ"] = "Europe/Berlin";
});
afterAll(() => {
  if (zoneBefore === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zoneBefore;
});

const nowMs = Date.parse("2026-11-26T12:00:00.250Z");

function moment(text: string): string {
  return parseMoment(text, nowMs, "-timestamp").toISOString();
}

describe("parseMoment", () => {
  it("takes RFC 3339 times with their zone, rounding finer fractions up to the next millisecond", () => {
    expect(moment("2026-11-22T13:44:30Z")).toBe("2026-11-22T13:44:30.000Z");
    expect(moment("2026-11-22t13:44:30.5z")).toBe("2026-11-22T13:44:30.500Z");
    expect(moment("2026-11-22T15:44:46+02:00")).toBe("2026-11-22T13:44:46.000Z");
    expect(moment("2026-11-22T13:44:30.0040001Z")).toBe("2026-11-22T13:44:30.005Z");
    expect(moment("2026-11-22T13:44:59.9999Z")).toBe("2026-11-22T13:45:00.000Z");
  });

  it("rounds no millisecond to the next one", () => {
    for (let ms = 0; ms < 1000; ms++) {
      const text = `2026-11-22T13:44:30.${String(ms).padStart(3, "0")}Z`;
      expect(moment(text)).toBe(text);
    }
  });

  it.each([
    ["now", "2026-11-26T12:00:00.250Z"],
    ["5 minutes ago", "2026-11-26T11:55:00.250Z"],
    [" 5  MINUTES ago ", "2026-11-26T11:55:00.250Z"],
    ["1 minute ago", "2026-11-26T11:59:00.250Z"],
    ["2h ago", "2026-11-26T10:00:00.250Z"],
    ["1.5h ago", "2026-11-26T10:30:00.250Z"],
    ["1h30m ago", "2026-11-26T10:30:00.250Z"],
    ["1 hour, 30 minutes ago", "2026-11-26T10:30:00.250Z"],
    ["3 days ago", "2026-11-23T12:00:00.250Z"],
    ["2 weeks ago", "2026-11-12T12:00:00.250Z"],
    ["90 secs ago", "2026-11-26T11:58:30.250Z"],
    ["yesterday", "2026-11-25T12:00:00.250Z"],
    ["yesterday 14:30", "2026-11-25T13:30:00.000Z"],
    ["Yesterday 9:05:30", "2026-11-25T08:05:30.000Z"],
    ["today 09:00", "2026-11-26T08:00:00.000Z"],
    ["2026-11-26 14:30", "2026-11-26T13:30:00.000Z"],
    ["2026-07-01 14:30:15", "2026-07-01T12:30:15.000Z"],
  ])("understands %j", (text, expected) => {
    expect(moment(text)).toBe(expected);
  });

  it.each([
    "",
    "ago",
    "minutes ago",
    "5 ago",
    "5 parsecs ago",
    "5 ss ago",
    "-5 minutes ago",
    "tomorrow",
    "today",
    "14:30",
    "yesterday 25:00",
    "2026-11-22",
    "2026-11-22T13:44:30",
    "2026-13-01T00:00:00Z",
    "2026-02-30 10:00",
    "2026-11-26 24:00",
    "2026-03-29 02:30",
  ])("refuses %j, which is no moment here, and shows what it takes", (text) => {
    const failure = ((): unknown => {
      try {
        return parseMoment(text, nowMs, "-at");
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(HeadwaterError);
    expect(String(failure)).toContain(`-at ${JSON.stringify(text)} is no moment`);
    expect(String(failure)).toContain('"yesterday 14:30"');
  });
});
