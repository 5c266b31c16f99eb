import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type WantedFrame, planRequests, requestDefaults } from "./request-plan.ts";

function wanted(file: number, offset: number, sizeBytes: number): WantedFrame {
  return { pgno: 1, frame: { file, offset, sizeBytes } };
}

const limits = { maxGapBytes: 10, maxRequestBytes: 100 };

describe("planRequests", () => {
  it("joins frames of one file with small gaps between them, and no others", () => {
    const plan = planRequests(
      [wanted(1, 50, 10), wanted(0, 0, 20), wanted(0, 30, 20), wanted(0, 61, 5)],
      limits,
    );
    expect(plan.map(({ file, offset, length }) => [file, offset, length])).toEqual([
      [0, 0, 50],
      [0, 61, 5],
      [1, 50, 10],
    ]);
  });

  it("cuts what would be too long, but never a frame", () => {
    const plan = planRequests(
      [wanted(0, 0, 60), wanted(0, 60, 40), wanted(0, 100, 1), wanted(0, 101, 500)],
      limits,
    );
    expect(plan.map(({ offset, length }) => [offset, length])).toEqual([
      [0, 100],
      [100, 1],
      [101, 500],
    ]);
  });

  it("covers every frame once, within its limits", () => {
    const frames = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 300 })),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(frames, (sketches) => {
        const all = [...new Set(sketches.map(([file, n]) => file * 1000 + n))].map((name) =>
          wanted(Math.floor(name / 1000), (name % 1000) * 40_000, 30_000),
        );
        const plan = planRequests(all, requestDefaults);
        expect(new Set(plan.flatMap(({ frames: of }) => of))).toEqual(new Set(all));
        expect(plan.flatMap(({ frames: of }) => of).length).toBe(all.length);
        for (const { file, offset, length, frames: of } of plan) {
          expect(length).toBeLessThanOrEqual(requestDefaults.maxRequestBytes);
          for (const { frame } of of) {
            expect(frame.file).toBe(file);
            expect(frame.offset).toBeGreaterThanOrEqual(offset);
            expect(frame.offset + frame.sizeBytes).toBeLessThanOrEqual(offset + length);
          }
        }
      }),
    );
  });
});
