import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Bell } from "./bell.ts";

const dayMs = 24 * 60 * 60 * 1000;
const { signal } = new AbortController();

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test("a wait that is longer than a timer can be lasts a day, not no time", async () => {
  const wait = new Bell().wait(2 ** 40, signal);
  await vi.advanceTimersByTimeAsync(dayMs - 1);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  await wait;
  expect(vi.getTimerCount()).toBe(0);
});

test("a wait without an end needs no timer, and ends with a ring", async () => {
  const bell = new Bell();
  for (const never of [undefined, Number.POSITIVE_INFINITY]) {
    const wait = bell.wait(never, signal);
    expect(vi.getTimerCount()).toBe(0);
    bell.ring();
    await wait;
  }
});

test("a ring before the wait ends it at once, and only that one", async () => {
  const bell = new Bell();
  bell.ring();
  bell.ring();
  await bell.wait(undefined, signal);
  const ending = new AbortController();
  const wait = bell.wait(dayMs, ending.signal);
  expect(vi.getTimerCount()).toBe(1);
  ending.abort();
  await wait;
  expect(vi.getTimerCount()).toBe(0);
});

test("a loop for which something is always due leaves others their turn", async () => {
  vi.useRealTimers();
  const others: string[] = [];
  setImmediate(() => others.push("other"));
  const bell = new Bell();
  for (let round = 0; others.length === 0 && round < 1000; round++) await bell.wait(0, signal);
  expect(others).toEqual(["other"]);
});
