import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { toTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";
import { planRestore, restorableRanges } from "./plan.ts";
import { type RetentionPolicy, planRetention } from "./retention.ts";

const minuteMs = 60_000;
const policy: RetentionPolicy = {
  snapshotRetentionMs: 100 * minuteMs,
  l0RetentionMs: 10 * minuteMs,
  graceMs: 0,
};

/** A file whose max TXID was captured in the minute of its number, unless said otherwise. */
function file(level: number, min: number, max: number, atMinute = max): ReplicaFile {
  const sizeBytes = 1000 * (max - min + 1);
  return replicaFile(level, min, max, { sizeBytes, timestampMs: atMinute * minuteMs });
}

function singles(from: number, to: number): readonly ReplicaFile[] {
  return Array.from({ length: to - from + 1 }, (_, n) => file(0, from + n, from + n));
}

function names(files: readonly ReplicaFile[]): readonly string[] {
  return files.map(({ level, minTxid, maxTxid }) => `${level}:${minTxid}-${maxTxid}`);
}

function gone(
  files: readonly ReplicaFile[],
  atMinute: number,
  changes: Partial<RetentionPolicy> = {},
): readonly string[] {
  return names(planRetention(files, { ...policy, ...changes }, atMinute * minuteMs).gone);
}

describe("level 0", () => {
  it("goes when it is old enough and level 1 holds it, oldest first", () => {
    const files = [...singles(1, 9), file(1, 1, 4), file(1, 5, 8)];
    expect(gone(files, 15)).toEqual(["0:1-1", "0:2-2", "0:3-3", "0:4-4"]);
    expect(gone(files, 100).at(-1)).toBe("0:8-8");
  });

  it("never goes before level 1 has it, and the newest never at all", () => {
    expect(gone(singles(1, 9), 1000)).toEqual([]);
    expect(gone([...singles(1, 9), file(1, 1, 9)], 1000)).not.toContain("0:9-9");
  });

  it("stays where level 1 has a hole", () => {
    const files = [...singles(1, 9), file(1, 1, 2), file(1, 5, 9)];
    expect(gone(files, 1000)).toEqual(["0:1-1", "0:2-2"]);
  });

  it("goes by whole files of level 1, so that no restore point is left without the files before it", () => {
    const files = [...singles(1, 9), file(1, 1, 9)];
    expect(gone(files, 15)).toEqual([]);
  });

  it("is down to the newest file when an application pauses", () => {
    const files = [...singles(1, 9), file(1, 1, 4), file(1, 5, 9)];
    expect(gone(files, 1000)).toEqual(names(singles(1, 8)));
  });

  it("stays where files of level 1 overlap, and one of them is reached through level 0 alone", () => {
    const level1 = [file(1, 1, 1), file(1, 2, 8), file(1, 7, 11), file(1, 10, 10)];
    const level0 = [file(0, 9, 9), file(0, 10, 10)];
    expect(gone([...level1, ...level0], 11, { l0RetentionMs: minuteMs })).toEqual([]);
  });

  it("stays for ever with a retention of 0", () => {
    const files = [...singles(1, 9), file(1, 1, 8)];
    expect(gone(files, 1000, { l0RetentionMs: 0 })).toEqual([]);
  });
});

it("what readers may still ask for stays, and what follows it in its level", () => {
  const files = [...singles(1, 9), file(1, 1, 4), file(1, 5, 9)];
  const held = files.find(({ level, minTxid }) => level === 0 && minTxid === 3n);
  const nowMs = 1000 * minuteMs;
  const { verdicts, gone: going } = planRetention(files, policy, nowMs, (one) => one === held);
  expect(names(going)).toEqual([]);
  const reasonOf = (n: number): string | undefined =>
    verdicts.find(({ file: { level, minTxid } }) => level === 0 && minTxid === BigInt(n))?.reason;
  expect([reasonOf(3), reasonOf(4)]).toEqual(["in-manifest", "after-kept"]);
});

describe("images and the levels between", () => {
  const files = [
    ...[10, 50, 90, 200].map((max) => file(9, 1, max)),
    ...[1, 11, 51, 91].map((min, i) => file(2, min, [10, 50, 90, 200][i] ?? 0)),
    file(0, 200, 200),
  ];

  it("keeps the newest image, however old", () => {
    expect(gone(files, 10_000)).toContain("9:1-90");
    expect(gone(files, 10_000)).not.toContain("9:1-200");
  });

  it("keeps the files since the image before the oldest one kept", () => {
    expect(gone(files, 155)).toEqual(["2:1-10", "9:1-10", "9:1-50"]);
  });

  it("says which restore points are lost", () => {
    const { lost } = planRetention(files, policy, 155 * minuteMs);
    expect(lost).toEqual([
      { from: 10n, to: 10n },
      { from: 50n, to: 50n },
    ]);
  });

  it("keeps what a restore of the newest state took a grace period ago", () => {
    expect(gone(files, 205, { snapshotRetentionMs: minuteMs })).toContain("9:1-90");
    const kept = gone(files, 205, { snapshotRetentionMs: minuteMs, graceMs: 10 * minuteMs });
    expect(kept).not.toContain("9:1-90");
  });
});

describe("whatever there is", () => {
  const anyFile = fc
    .tuple(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 8 }),
      fc.integer({ min: 0, max: 3 }),
    )
    .map(([min, more, level]) => file(level, min, level === 0 ? min : min + more));
  const anyImage = fc.integer({ min: 1, max: 25 }).map((max) => file(9, 1, max));
  const anyPolicy = fc.record({
    snapshotRetentionMs: fc.integer({ min: 0, max: 30 }).map((n) => n * minuteMs),
    l0RetentionMs: fc.integer({ min: 0, max: 30 }).map((n) => n * minuteMs),
    graceMs: fc.integer({ min: 0, max: 10 }).map((n) => n * minuteMs),
  });
  const scene = fc.record({
    files: fc
      .tuple(fc.array(anyFile, { maxLength: 30 }), fc.array(anyImage, { maxLength: 4 }))
      .map(([some, images]) => unique([...some, ...images])),
    policy: anyPolicy,
    atMinute: fc.integer({ min: 0, max: 60 }),
  });
  /** A history as an engine writes it: level 0 without holes, levels above made of it. */
  const wellKept = fc.record({
    files: fc
      .record({
        head: fc.integer({ min: 1, max: 30 }),
        step1: fc.integer({ min: 1, max: 5 }),
        step2: fc.integer({ min: 1, max: 4 }),
        images: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 4 }),
      })
      .map(({ head, step1, step2, images }) =>
        unique([
          ...singles(1, head),
          ...stepped(1, head, step1),
          ...stepped(2, head - (head % step1), step1 * step2),
          ...images.filter((max) => max <= head).map((max) => file(9, 1, max)),
        ]),
      ),
    policy: anyPolicy,
    atMinute: fc.integer({ min: 0, max: 60 }),
  });

  it("the newest restore point stays, and every verdict is carried out", () => {
    fc.assert(
      fc.property(fc.oneof(scene, wellKept), ({ files, policy: any, atMinute }) => {
        const { verdicts, gone: goes } = planRetention(files, any, atMinute * minuteMs);
        const kept = verdicts.filter((verdict) => !verdict.goes).map((verdict) => verdict.file);
        expect(new Set([...kept, ...goes])).toEqual(new Set(files));
        expect(restorableRanges(kept).at(-1)?.to).toBe(restorableRanges(files).at(-1)?.to);
        for (const level of [0, 1, 2, 3, 9]) {
          const newest = maxOf(files.filter((one) => one.level === level));
          expect(maxOf(kept.filter((one) => one.level === level))).toBe(newest);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("after the oldest kept image no kept file loses the restore point at its end", () => {
    fc.assert(
      fc.property(fc.oneof(scene, wellKept), ({ files, policy: any, atMinute }) => {
        const { verdicts, lost } = planRetention(files, any, atMinute * minuteMs);
        const kept = verdicts.filter((verdict) => !verdict.goes).map((verdict) => verdict.file);
        const base = kept
          .filter((one) => one.level === 9)
          .reduce((least, one) => (one.maxTxid < least ? one.maxTxid : least), toTxid(1000));
        const from = base === 1000n ? 0n : base;
        const ends = kept.map((one) => one.maxTxid).filter((txid) => txid >= from);
        const isLost = (txid: bigint): boolean =>
          lost.some((range) => range.from <= txid && txid <= range.to);
        expect(ends.filter(isLost)).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("a restore that has begun within the grace period finds all its files", () => {
    const race = fc.record({ kept: wellKept, agoMinutes: fc.integer({ min: 0, max: 10 }) });
    fc.assert(
      fc.property(race, ({ kept: { files, policy: any, atMinute }, agoMinutes }) => {
        const nowMs = atMinute * minuteMs;
        const begunMs = nowMs - Math.min(any.graceMs, agoMinutes * minuteMs);
        const seen = files.filter(({ timestampMs }) => timestampMs <= begunMs);
        const txid = restorableRanges(seen).at(-1)?.to;
        if (txid === undefined) return;
        const plan = new Set(planRestore(seen, { kind: "txid", txid }));
        const { gone: goes } = planRetention(files, any, nowMs);
        expect(goes.filter((one) => plan.has(one))).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("a clock that was set back to before everything deletes nothing", () => {
    fc.assert(
      fc.property(wellKept, ({ files, policy: any }) => {
        expect(planRetention(files, any, -minuteMs).gone).toEqual([]);
      }),
    );
  });

  it("doing it twice does no more", () => {
    fc.assert(
      fc.property(wellKept, ({ files, policy: any, atMinute }) => {
        const first = planRetention(files, any, atMinute * minuteMs);
        const kept = first.verdicts.filter(({ goes }) => !goes).map((verdict) => verdict.file);
        const again = planRetention(kept, any, atMinute * minuteMs);
        expect(names(again.gone).filter((name) => name.startsWith("0:"))).toEqual([]);
      }),
    );
  });
});

function stepped(level: number, head: number, step: number): readonly ReplicaFile[] {
  return Array.from({ length: Math.floor(head / step) }, (_, n) =>
    file(level, n * step + 1, (n + 1) * step),
  );
}

function unique(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  return [...new Map(files.map((one) => [one.key, one])).values()];
}

function maxOf(files: readonly ReplicaFile[]): bigint | undefined {
  return files.reduce<bigint | undefined>(
    (max, { maxTxid }) => (max === undefined || maxTxid > max ? maxTxid : max),
    undefined,
  );
}
