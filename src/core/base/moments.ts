// Moments as people say them: `5 minutes ago`, `yesterday 14:30`. Pure: now is an argument. Only the zone of local times
// is the machine's.
import { HeadwaterError } from "./errors.ts";

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Every spelling of a unit before `ago`, singular and plural. */
const unitMs: Readonly<Record<string, number>> = {
  s: secondMs,
  sec: secondMs,
  second: secondMs,
  m: minuteMs,
  min: minuteMs,
  minute: minuteMs,
  h: hourMs,
  hr: hourMs,
  hour: hourMs,
  d: dayMs,
  day: dayMs,
  w: 7 * dayMs,
  week: 7 * dayMs,
  year: 365 * dayMs,
};

const agoPattern = /^(?<parts>(?:\d+(?:\.\d+)?\s*[a-z]+[\s,]*)+)\s+ago$/u;
const partPattern = /(?<count>\d+(?:\.\d+)?)\s*(?<unit>[a-z]+)/gu;
const dayPattern = /^(?<day>today|yesterday)(?:\s+(?<clock>\d{1,2}:\d{2}(?::\d{2})?))?$/u;
const localPattern =
  /^(?<year>\d{4})-(?<month>\d{2})-(?<day>\d{2}) (?<clock>\d{1,2}:\d{2}(?::\d{2})?)$/u;
const instantPattern =
  /^(?<second>\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2})(?:\.(?<fraction>\d+))?(?<zone>[Zz]|[+-]\d{2}:\d{2})$/u;

/**
 * The moment that `text` means at `nowMs`: RFC 3339 with its zone; `now`; an age, `2h ago`, `1 hour 30 minutes ago` (a day
 * is 24 hours); `yesterday`, at this time of day; `today 09:00`, `yesterday 14:30` and `2026-11-26 14:30` in the
 * machine's zone. Finer fractions than milliseconds are rounded up: LTX files carry whole milliseconds, and whatever
 * lies strictly before the time lies strictly before the next one too. Throws `usage/invalid`; `name` is what its
 * message calls the text: `-at` for a flag.
 */
export function parseMoment(text: string, nowMs: number, name: string): Date {
  const phrase = text.trim().toLowerCase().replaceAll(/\s+/gu, " ");
  const moment =
    phrase === "now"
      ? new Date(nowMs)
      : (parseInstant(phrase) ??
        parseAgo(phrase, nowMs) ??
        parseDay(phrase, nowMs) ??
        parseLocal(phrase));
  if (moment !== undefined && !Number.isNaN(moment.getTime())) return moment;
  throw new HeadwaterError(
    "usage/invalid",
    `${name} ${JSON.stringify(text)} is no moment. Write 2026-11-26T14:30:00Z (RFC 3339, with its zone), ` +
      '"2026-11-26 14:30" (local time), now, "5 minutes ago", "2h ago", yesterday, "yesterday 14:30" or "today 09:00".',
  );
}

function parseInstant(phrase: string): Date | undefined {
  const parts = instantPattern.exec(phrase)?.groups;
  if (parts === undefined) return undefined;
  const secondsMs = Date.parse(`${parts["second"] ?? ""}${parts["zone"] ?? ""}`.toUpperCase());
  return new Date(secondsMs + Math.ceil(Number(`0.${parts["fraction"] ?? 0}`) * 1000));
}

function parseAgo(phrase: string, nowMs: number): Date | undefined {
  const parts = agoPattern.exec(phrase)?.groups?.["parts"];
  if (parts === undefined) return undefined;
  let ageMs = 0;
  for (const { groups } of parts.matchAll(partPattern)) {
    const name = groups?.["unit"] ?? "";
    const unit = unitMs[name] ?? (name.length > 2 ? unitMs[name.replace(/s$/u, "")] : undefined);
    if (unit === undefined) return undefined;
    ageMs += Number(groups?.["count"]) * unit;
  }
  return new Date(nowMs - Math.round(ageMs));
}

function parseDay(phrase: string, nowMs: number): Date | undefined {
  const parts = dayPattern.exec(phrase)?.groups;
  if (parts === undefined) return undefined;
  const date = new Date(nowMs);
  if (parts["day"] === "yesterday") date.setDate(date.getDate() - 1);
  const clock = parts["clock"];
  if (clock === undefined) return parts["day"] === "yesterday" ? date : undefined;
  return atClock([date.getFullYear(), date.getMonth(), date.getDate()], clock);
}

function parseLocal(phrase: string): Date | undefined {
  const parts = localPattern.exec(phrase)?.groups;
  if (parts === undefined) return undefined;
  const day = [Number(parts["year"]), Number(parts["month"]) - 1, Number(parts["day"])] as const;
  return atClock(day, parts["clock"] ?? "");
}

/** `undefined` for a local time that no clock showed: 25:00, 30 February, the hour that daylight saving skips. */
function atClock(
  [year, month, day]: readonly [number, number, number],
  clock: string,
): Date | undefined {
  const [hour = 0, minute = 0, second = 0] = clock.split(":").map(Number);
  const date = new Date(year, month, day, hour, minute, second);
  const isShown =
    date.getFullYear() === year &&
    date.getMonth() === month &&
    date.getDate() === day &&
    date.getHours() === hour &&
    date.getMinutes() === minute &&
    date.getSeconds() === second;
  return isShown ? date : undefined;
}
