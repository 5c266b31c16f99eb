import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import type { Clock } from "../../core/base/clock.ts";
import { Recurring } from "./recurring.ts";

const hourMs = 3_600_000;

/** A wall that can be set, beside a monotonic clock that cannot. */
class SteppingClock extends VirtualClock implements Clock {
  stepMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.stepMs;
  }
}

function recurring(
  options: { lastAgoMs?: number | undefined; intervalMs?: number; chance?: number } = {},
): {
  readonly due: Recurring;
  readonly clock: SteppingClock;
} {
  const { lastAgoMs, intervalMs = hourMs, chance = 0 } = options;
  const clock = new SteppingClock();
  const random = { float: () => chance, bytes: (count: number) => new Uint8Array(count) };
  const lastAtMs = lastAgoMs === undefined ? undefined : clock.nowMs() - lastAgoMs;
  return { due: new Recurring({ intervalMs, lastAtMs, clock, random }), clock };
}

describe("Recurring", () => {
  it("is due an interval after the last time, also when that was before this process", async () => {
    const { due, clock } = recurring({ lastAgoMs: hourMs / 4 });
    expect(due.msUntilDue).toBe((hourMs / 4) * 3);
    await clock.advance((hourMs / 4) * 3);
    expect(due.msUntilDue).toBe(0);
    due.noteDone();
    expect(due.msUntilDue).toBe(hourMs);
  });

  it("spreads over some minutes what is overdue at a start", () => {
    for (const lastAgoMs of [undefined, 10 * hourMs]) {
      expect(recurring({ lastAgoMs, chance: 0 }).due.msUntilDue).toBe(300_000);
      expect(recurring({ lastAgoMs, chance: 1 }).due.msUntilDue).toBe(600_000);
      expect(recurring({ lastAgoMs, chance: 1, intervalMs: 100 }).due.msUntilDue).toBe(100);
    }
  });

  it("is never due with the interval 0", async () => {
    const { due, clock } = recurring({ intervalMs: 0 });
    await clock.advance(100 * hourMs);
    expect(due.msUntilDue).toBe(Number.POSITIVE_INFINITY);
  });

  it("takes no notice of a wall clock that is set, back or forth", async () => {
    for (const stepMs of [-1_000 * hourMs, 1_000 * hourMs]) {
      const { due, clock } = recurring({ lastAgoMs: 0 });
      clock.stepMs = stepMs;
      expect(due.msUntilDue).toBe(hourMs);
      await clock.advance(hourMs);
      expect(due.msUntilDue).toBe(0);
    }
  });

  it("waits an interval at most for a last time in the future", () => {
    expect(recurring({ lastAgoMs: -1_000 * hourMs }).due.msUntilDue).toBe(hourMs);
  });

  it("comes back sooner after a failure, later after more, and never later than it would anyway", () => {
    const { due } = recurring({ chance: 1, intervalMs: 200_000 });
    expect([due.noteFailure(), due.noteFailure(), due.noteFailure()]).toEqual([
      60_000, 120_000, 200_000,
    ]);
    expect(due.failures).toBe(3);
    due.noteDone();
    expect(due.failures).toBe(0);
  });
});
