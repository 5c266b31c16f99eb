import { expect, test } from "vitest";
import { silentLogger } from "../../core/base/log.ts";
import { VirtualClock } from "../../core/testing/virtual-clock.ts";
import { CheckpointPolicy } from "./checkpoint-policy.ts";

const pageSize = 4096;
const walSizeBytes = 200 << 20;

/** A policy after a checkpoint of a large WAL file that left it large. */
function afterLargeWal(): { readonly policy: CheckpointPolicy; readonly clock: VirtualClock } {
  const clock = new VirtualClock();
  const policy = new CheckpointPolicy(clock, silentLogger, 1 << 30);
  const used = { walFrames: 50_000, walSizeBytes, pageSize };
  policy.noteCapture();
  expect(policy.modeFor(used)).toBe("passive");
  const outcome = { mode: "passive", walFrames: 50_000, backfilledFrames: 50_000 } as const;
  policy.noteOutcome({ ...outcome, complete: true, writeLockMs: 1 }, used, 1);
  return { policy, clock };
}

test("a large WAL file is not cut back while a fast writer needs it", () => {
  const { policy } = afterLargeWal();
  policy.noteCapture();
  expect(policy.modeFor({ walFrames: 16_000, walSizeBytes, pageSize })).toBe("passive");
});

test("it is cut back once a checkpoint finds little in it", () => {
  const { policy } = afterLargeWal();
  policy.noteCapture();
  expect(policy.modeFor({ walFrames: 2_000, walSizeBytes, pageSize })).toBe("truncate");
});

test("it is cut back a minute after everything in it was checkpointed, if nothing came since", async () => {
  const { policy, clock } = afterLargeWal();
  const left = { walFrames: 50_000, walSizeBytes, pageSize };
  expect(policy.isDue(left)).toBe(false);
  const waitMs = policy.msUntilDue(left);
  expect(waitMs).toBe(60_000);
  await clock.advance(waitMs);
  expect(policy.isDue(left)).toBe(true);
  expect(policy.modeFor(left)).toBe("truncate");
  const outcome = { mode: "truncate", walFrames: 0, backfilledFrames: 0 } as const;
  const empty = { walFrames: 0, walSizeBytes: 0, pageSize };
  policy.noteOutcome({ ...outcome, complete: true, writeLockMs: 1 }, empty, 1);
  expect(policy.msUntilDue(empty)).toBe(Number.POSITIVE_INFINITY);
});

test("nothing is due once a small WAL is checkpointed", () => {
  const policy = new CheckpointPolicy(new VirtualClock(), silentLogger, 1 << 30);
  const small = { walFrames: 500, walSizeBytes: 3 << 20, pageSize };
  const outcome = { mode: "passive", walFrames: 500, backfilledFrames: 500 } as const;
  policy.noteOutcome({ ...outcome, complete: true, writeLockMs: 1 }, small, 1);
  expect(policy.msUntilDue(small)).toBe(Number.POSITIVE_INFINITY);
});
