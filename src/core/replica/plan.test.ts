import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { hasCode, messageOf } from "../base/errors.ts";
import { toTxid } from "../ltx/txid.ts";
import type { ReplicaFile } from "./catalog.ts";
import { type RestoreTarget, planAdvance, planRestore, restorableRanges } from "./plan.ts";

interface FileSketch {
  readonly level?: number;
  readonly min: number;
  readonly max: number;
  readonly atMs?: number;
  readonly sizeBytes?: number;
}

function file({
  level = 0,
  min,
  max,
  atMs = max * 1000,
  sizeBytes = 1000,
}: FileSketch): ReplicaFile {
  return replicaFile(level, min, max, { timestampMs: atMs, sizeBytes });
}

function names(files: readonly ReplicaFile[]): readonly string[] {
  return files.map(({ level, minTxid, maxTxid }) => `${level}:${minTxid}-${maxTxid}`);
}

function plan(sketches: readonly FileSketch[], target: RestoreTarget): readonly string[] {
  return names(planRestore(sketches.map(file), target));
}

function failure(sketches: readonly FileSketch[], target: RestoreTarget): unknown {
  try {
    return plan(sketches, target);
  } catch (error) {
    return error;
  }
}

const latest = { kind: "latest" } as const;
const at = (txid: number): RestoreTarget => ({ kind: "txid", txid: toTxid(txid) });
const before = (beforeMs: number): RestoreTarget => ({ kind: "time", beforeMs });

describe("planRestore", () => {
  it("chains single transactions from the first image", () => {
    const files = [
      { level: 9, min: 1, max: 1 },
      { min: 2, max: 2 },
      { min: 3, max: 3 },
    ];
    expect(plan(files, latest)).toEqual(["9:1-1", "0:2-2", "0:3-3"]);
    expect(plan(files, at(2))).toEqual(["9:1-1", "0:2-2"]);
  });

  it("starts at the newest image and takes the widest files after it", () => {
    const files = [
      { level: 9, min: 1, max: 1 },
      { level: 9, min: 1, max: 10 },
      { level: 2, min: 2, max: 14, sizeBytes: 5000 },
      { level: 1, min: 11, max: 14 },
      ...[11, 12, 13, 14, 15].map((n) => ({ min: n, max: n })),
    ];
    expect(plan(files, latest)).toEqual(["9:1-10", "1:11-14", "0:15-15"]);
    expect(plan(files, at(12))).toEqual(["9:1-10", "0:11-11", "0:12-12"]);
  });

  it("bridges a hole in one level with files of the others, where a greedy choice would end in it", () => {
    const files = [
      { min: 1, max: 2 },
      { level: 2, min: 3, max: 9 },
      { level: 1, min: 3, max: 5 },
      { level: 1, min: 6, max: 7 },
      { level: 0, min: 8, max: 8 },
    ];
    expect(plan(files, at(8))).toEqual(["0:1-2", "1:3-5", "1:6-7", "0:8-8"]);
  });

  it("uses overlapping files of one level", () => {
    const files = [
      { min: 1, max: 4 },
      { min: 3, max: 6 },
      { min: 6, max: 8 },
    ];
    expect(plan(files, latest)).toEqual(["0:1-4", "0:3-6", "0:6-8"]);
  });

  it("says that there is no backup in an empty replica", () => {
    for (const target of [latest, at(1), before(5)]) {
      expect(hasCode(failure([], target), "replica/empty")).toBe(true);
    }
  });

  it("refuses a hole below the newest TXID and says what is around it", () => {
    const files = [
      { min: 1, max: 2 },
      { min: 5, max: 6 },
    ];
    for (const target of [latest, before(9_000)]) {
      const error = failure(files, target);
      expect(hasCode(error, "replica/gap")).toBe(true);
      expect(messageOf(error)).toContain("no file covers TXID 0000000000000003");
      expect(messageOf(error)).toContain("starts at 0000000000000005");
    }
    expect(plan(files, at(2))).toEqual(["0:1-2"]);
  });

  it("refuses a replica without any full image", () => {
    const error = failure([{ min: 3, max: 4 }], latest);
    expect(hasCode(error, "replica/gap")).toBe(true);
    expect(messageOf(error)).toContain("no full image");
  });

  it("lists what can be restored when a TXID cannot", () => {
    const files = [
      { min: 1, max: 2 },
      ...[3, 4, 5].map((n) => ({ min: n, max: n })),
      { level: 1, min: 6, max: 9 },
    ];
    for (const txid of [1, 7, 10]) {
      const error = failure(files, at(txid));
      expect(hasCode(error, "replica/unreachable-txid")).toBe(true);
      expect(messageOf(error)).toContain(
        "Restorable: 0000000000000002 to 0000000000000005, 0000000000000009.",
      );
    }
    expect(messageOf(failure(files, at(10)))).toContain("above the newest one, 0000000000000009");
  });

  it("keeps the list short when there are many ranges", () => {
    const files = Array.from({ length: 100 }, (_, n) => ({ level: 9, min: 1, max: 2 * n + 1 }));
    const message = messageOf(failure(files, at(500)));
    expect(message).toContain("84 more ranges, 00000000000000c7.");
    expect(message.length).toBeLessThan(600);
  });

  it("takes the newest restore point strictly before a time", () => {
    const files = [1, 2, 3].map((n) => ({ min: n, max: n, atMs: n * 1000 }));
    expect(plan(files, before(3000))).toEqual(["0:1-1", "0:2-2"]);
    expect(plan(files, before(3001))).toEqual(["0:1-1", "0:2-2", "0:3-3"]);
    expect(plan(files, before(1e12))).toEqual(["0:1-1", "0:2-2", "0:3-3"]);
    const error = failure(files, before(1000));
    expect(hasCode(error, "replica/unreachable-time")).toBe(true);
    expect(messageOf(error)).toContain(
      "1970-01-01T00:00:01.000Z, the last at 1970-01-01T00:00:03.000Z",
    );
  });

  it("counts an image by when its TXID was captured, not by when the image was made", () => {
    const files = [
      { level: 9, min: 1, max: 1, atMs: 1000 },
      { level: 1, min: 4, max: 5, atMs: 5000 },
      { level: 9, min: 1, max: 5, atMs: 9000 },
    ];
    expect(plan(files, before(5001))).toEqual(["9:1-5"]);
    expect(plan(files, before(5000))).toEqual(["9:1-1"]);
  });

  it("takes the nearest earlier point where retention has thinned the history", () => {
    const files = [
      { level: 9, min: 1, max: 3, atMs: 3000 },
      { level: 1, min: 6, max: 7, atMs: 7000 },
      { level: 3, min: 2, max: 10, atMs: 10_000 },
    ];
    expect(plan(files, before(8000))).toEqual(["9:1-3"]);
  });

  it("finds a chain whenever there is one, starts at the newest image and costs the least", () => {
    const range = fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 5 }))
      .map(([min, more]) => ({ min, max: min + more }));
    const sketch = fc
      .tuple(range, fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 }))
      .map(([{ min, max }, level, size]) => ({ level, min, max, sizeBytes: size * 50_000 }));
    fc.assert(
      fc.property(fc.array(sketch, { minLength: 1, maxLength: 9 }), (sketches) => {
        const files = sketches.map(file);
        const bestByTxid = bruteForce(files);
        for (let txid = 1; txid <= 15; txid++) {
          const best = bestByTxid.get(BigInt(txid));
          expect(planned(files, at(txid))).toEqual(best);
        }
        const ranges = restorableRanges(files).flatMap(({ from, to }) =>
          Array.from({ length: Number(to - from) + 1 }, (_, n) => from + BigInt(n)),
        );
        expect(new Set(ranges)).toEqual(new Set(bestByTxid.keys()));
      }),
      { numRuns: 300 },
    );
  });
});

/** The rank of the plan if it is a chain, `undefined` if the TXID is refused. */
function planned(files: readonly ReplicaFile[], target: RestoreTarget): Rank | undefined {
  try {
    const chain = planRestore(files, target);
    return isChain(chain) ? rank(chain) : { baseTxid: -1n, costBytes: -1 };
  } catch (error) {
    if (hasCode(error, "replica/unreachable-txid")) return undefined;
    throw error;
  }
}

interface Rank {
  readonly baseTxid: bigint;
  readonly costBytes: number;
}

function rank(files: readonly ReplicaFile[]): Rank {
  const base = files[0]?.maxTxid ?? 0n;
  return {
    baseTxid: base,
    costBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes + 65_536, 0),
  };
}

function isChain(files: readonly ReplicaFile[]): boolean {
  let txid = 0n;
  for (const { minTxid, maxTxid } of files) {
    if (minTxid > txid + 1n || maxTxid <= txid) return false;
    txid = maxTxid;
  }
  return true;
}

/** The best rank of each TXID over every chain that starts with a full image and holds no other. */
function bruteForce(files: readonly ReplicaFile[]): ReadonlyMap<bigint, Rank> {
  const best = new Map<bigint, Rank>();
  const extend = (chain: readonly ReplicaFile[], txid: bigint): void => {
    if (chain.length > 0) {
      const found = rank(chain);
      const known = best.get(txid);
      const isBetter =
        known === undefined ||
        found.baseTxid > known.baseTxid ||
        (found.baseTxid === known.baseTxid && found.costBytes < known.costBytes);
      if (isBetter) best.set(txid, found);
    }
    for (const next of files) {
      const fits = chain.length === 0 ? next.minTxid === 1n : next.minTxid !== 1n;
      if (fits && next.minTxid <= txid + 1n && next.maxTxid > txid) {
        extend([...chain, next], next.maxTxid);
      }
    }
  };
  extend([], 0n);
  return best;
}

function advance(sketches: readonly FileSketch[], from: number): readonly string[] {
  return names(planAdvance(sketches.map(file), toTxid(from)));
}

describe("planAdvance", () => {
  it("takes single transactions, or what was merged of many, whichever is less to fetch", () => {
    const singles = Array.from({ length: 9 }, (_, i) => ({ min: i + 2, max: i + 2 }));
    expect(advance(singles, 8)).toEqual(["0:9-9", "0:10-10"]);
    expect(advance([...singles, { level: 1, min: 2, max: 9 }], 1)).toEqual(["1:2-9", "0:10-10"]);
  });

  it("takes a file that begins before the TXID if it ends after it", () => {
    expect(
      advance(
        [
          { level: 1, min: 2, max: 9 },
          { min: 10, max: 10 },
        ],
        5,
      ),
    ).toEqual(["1:2-9", "0:10-10"]);
  });

  it("goes as far as files lead, never through a full image, and nowhere from the end", () => {
    const files = [
      { min: 2, max: 2 },
      { min: 4, max: 4 },
      { level: 9, min: 1, max: 4 },
    ];
    expect(advance(files, 1)).toEqual(["0:2-2"]);
    expect(advance(files, 2)).toEqual([]);
    expect(advance(files, 4)).toEqual([]);
  });
});
