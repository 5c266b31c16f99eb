import { expect, it } from "vitest";
import { createSeededRandom } from "../../core/testing/seeded-random.ts";
import { LevelJob } from "./level-job.ts";

const startMs = 1_700_000_010_000;

function pendingJob(): LevelJob {
  const job = new LevelJob("level-1", 30_000, async () => undefined);
  job.isPending = true;
  return job;
}

it("is due at once the first time, then at the next boundary of the clock", () => {
  const job = pendingJob();
  expect(job.msUntilDue(startMs)).toBe(0);
  job.noteDone(startMs);
  expect((startMs + job.msUntilDue(startMs)) % 30_000).toBe(0);
  expect(job.msUntilDue(startMs)).toBeLessThanOrEqual(30_000);
  expect(job.msUntilDue(startMs)).toBeGreaterThan(0);
});

it("is never due while nothing is pending", () => {
  const job = pendingJob();
  job.isPending = false;
  expect(job.msUntilDue(startMs)).toBe(Infinity);
});

it("waits longer after each failure, at most five minutes", () => {
  const job = pendingJob();
  const random = createSeededRandom(1);
  const waits = Array.from({ length: 12 }, () => job.noteFailure(startMs, random));
  expect(waits[0]).toBeLessThanOrEqual(1_000);
  expect(waits.at(-1)).toBeGreaterThanOrEqual(150_000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(300_000);
  expect(job.failures).toBe(12);
});

it("is due at once when the clock was set back", () => {
  const job = pendingJob();
  job.noteDone(startMs, 86_400_000);
  expect(job.msUntilDue(startMs)).toBe(86_400_000);
  expect(job.msUntilDue(startMs - 1)).toBe(0);
});
