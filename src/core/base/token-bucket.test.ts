import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TokenBucket } from "./token-bucket.ts";

const options = { capacity: 10, perMs: 0.5 };

test("begins full, is emptied, and fills again at its rate up to its capacity", () => {
  const bucket = new TokenBucket(options, 1_000);
  expect(bucket.tokens(1_000)).toBe(10);
  bucket.take(10, 1_000);
  expect(bucket.msUntil(1, 1_000)).toBe(2);
  expect(bucket.tokens(1_004)).toBe(2);
  expect(bucket.msUntil(1, 1_004)).toBe(0);
  expect(bucket.tokens(9_999)).toBe(10);
});

test("what could not wait overdraws it, and is earned before anything else", () => {
  const bucket = new TokenBucket({ ...options, tokens: 1 }, 0);
  bucket.take(6, 0);
  expect(bucket.tokens(0)).toBe(-5);
  expect(bucket.msUntil(0, 0)).toBe(10);
  expect(bucket.msUntil(1, 0)).toBe(12);
});

test("more than it can hold can be had when it is full", () => {
  const bucket = new TokenBucket({ ...options, tokens: 0 }, 0);
  expect(bucket.msUntil(1_000, 0)).toBe(20);
});

test("a clock that steps back fills nothing, and what follows counts from there", () => {
  const bucket = new TokenBucket({ ...options, tokens: 0 }, 1_000);
  expect(bucket.tokens(500)).toBe(0);
  expect(bucket.tokens(504)).toBe(2);
});

test("whatever is taken when it is there, in no span is it more than the capacity and what came meanwhile", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { minLength: 1, maxLength: 200 }), (pauses) => {
      const bucket = new TokenBucket(options, 0);
      const takenAt: number[] = [];
      let nowMs = 0;
      for (const pauseMs of pauses) {
        nowMs += pauseMs;
        if (bucket.msUntil(1, nowMs) > 0) continue;
        bucket.take(1, nowMs);
        takenAt.push(nowMs);
      }
      for (const [from, startMs] of takenAt.entries())
        for (const [to, endMs] of takenAt.entries())
          if (to >= from)
            expect(to - from + 1).toBeLessThanOrEqual(10 + (endMs - startMs) * 0.5 + 1e-6);
    }),
    { numRuns: 50 },
  );
});
