import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Txid, toTxid } from "../ltx/txid.ts";
import { hasCode } from "../base/errors.ts";
import { readGoldenSet } from "../../../test/support/golden.ts";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { type TimedFile, clipHistory, listHistory } from "./history.ts";
import { planRestore } from "./plan.ts";

function file(level: number, min: number, max: number, timestampMs: number): TimedFile {
  return { ...replicaFile(level, min, max, { timestampMs }), databaseSizeBytes: max * 4096 };
}

describe("listHistory", () => {
  it("lists points with their time, size and levels, and no gap where there is none", () => {
    const files = [
      file(9, 1, 1, 100),
      file(0, 2, 2, 200),
      file(0, 3, 3, 300),
      file(1, 2, 3, 300),
      file(9, 1, 3, 900),
    ];
    expect(listHistory(files)).toEqual({
      points: [
        { txid: 1n, timestampMs: 100, databaseSizeBytes: 4096, levels: [9] },
        { txid: 2n, timestampMs: 200, databaseSizeBytes: 8192, levels: [0] },
        { txid: 3n, timestampMs: 300, databaseSizeBytes: 12288, levels: [0, 1, 9] },
      ],
      gaps: [],
    });
  });

  it("tells what retention thinned from files that are missing", () => {
    const files = [file(9, 1, 5, 500), file(1, 6, 8, 800), file(0, 10, 10, 1000)];
    expect(listHistory(files).gaps).toEqual([
      { from: 1n, to: 4n, reason: "thinned", afterMs: undefined, beforeMs: 500 },
      { from: 6n, to: 7n, reason: "thinned", afterMs: 500, beforeMs: 800 },
      { from: 9n, to: 10n, reason: "hole", afterMs: 800, beforeMs: undefined },
    ]);
  });

  it("calls a point reached when any later file was made", () => {
    const files = [file(9, 1, 1, 5000), file(0, 2, 2, 200)];
    expect(listHistory(files).points.map(({ timestampMs }) => timestampMs)).toEqual([200, 200]);
  });

  it("has one gap and no point without a full image, and nothing without files", () => {
    expect(listHistory([file(0, 3, 3, 300)])).toEqual({
      points: [],
      gaps: [{ from: 1n, to: 3n, reason: "hole", afterMs: undefined, beforeMs: undefined }],
    });
    expect(listHistory([])).toEqual({ points: [], gaps: [] });
  });

  it("agrees with the plan about every TXID and every time, whatever the files", () => {
    const anyFile = fc
      .tuple(fc.nat(9), fc.integer({ min: 1, max: 20 }), fc.nat(6), fc.integer({ min: 1, max: 60 }))
      .map(([level, min, length, time]) => file(level, min, min + length, time));
    fc.assert(
      fc.property(fc.array(anyFile, { minLength: 1, maxLength: 15 }), (files) => {
        const { points, gaps } = listHistory(files);
        const txids = points.map(({ txid }) => txid);
        const missing = gaps.flatMap(({ from, to }) =>
          Array.from({ length: Number(to - from) + 1 }, (_, n) => toTxid(from + BigInt(n))),
        );
        const head = Math.max(...files.map(({ maxTxid }) => Number(maxTxid)));
        const all = Array.from({ length: head }, (_, n) => toTxid(n + 1));
        expect([...txids, ...missing].toSorted((a, b) => Number(a - b))).toEqual(all);
        for (const txid of all) expect(isPlanned(files, txid)).toBe(txids.includes(txid));
        for (let timeMs = 1; timeMs <= 62; timeMs++) {
          const planned = plannedAt(files, timeMs);
          if (planned !== undefined) {
            expect(planned).toBe(points.findLast((point) => point.timestampMs < timeMs)?.txid);
          }
        }
      }),
    );
  });

  it("lists exactly what Litestream restores from a thinned replica", () => {
    const set = readGoldenSet("daemon-levels-4096");
    const files = set.files.map((one) => ({
      ...one,
      isExactTime: true,
      key: one.path,
      etag: one.sha256,
      databaseSizeBytes: one.commit * one.pageSize,
    }));
    const { points } = listHistory(files);
    expect(points.map(({ txid }) => txid)).toEqual(
      set.restores.filter(({ sha256 }) => sha256 !== undefined).map(({ txid }) => txid),
    );
    expect(points.every(({ databaseSizeBytes = 0 }) => databaseSizeBytes > 4096)).toBe(true);
  });
});

it("clips a history to the times asked for, gaps that reach in included", () => {
  const history = listHistory([
    file(9, 1, 2, 200),
    file(1, 3, 5, 500),
    file(0, 6, 6, 600),
    file(0, 8, 8, 800),
  ]);
  const { points, gaps } = clipHistory(history, { fromMs: 300, toMs: 550 });
  expect(points.map(({ txid }) => txid)).toEqual([5n]);
  expect(gaps.map(({ from }) => from)).toEqual([3n]);
  expect(clipHistory(history, {})).toEqual(history);
});

function isPlanned(files: readonly TimedFile[], txid: Txid): boolean {
  try {
    return planRestore(files, { kind: "txid", txid }).length > 0;
  } catch (error) {
    if (hasCode(error, "replica/unreachable-txid")) return false;
    throw error;
  }
}

/** `undefined` where nothing can be restored or the time lies in a hole. */
function plannedAt(files: readonly TimedFile[], beforeMs: number): Txid | undefined {
  try {
    return planRestore(files, { kind: "time", beforeMs }).at(-1)?.maxTxid;
  } catch (error) {
    if (hasCode(error, "replica/unreachable-time") || hasCode(error, "replica/gap")) {
      return undefined;
    }
    throw error;
  }
}
