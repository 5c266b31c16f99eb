import { readFileSync, rmSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { hasCode } from "../../core/base/errors.ts";
import { copyGolden, goldenSetNames } from "../../../test/support/golden.ts";
import { ltxPath, pageOf, sampleHistory, writeLtx } from "../../../test/support/replica-builder.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { type VerifyResult, verify } from "./verify.ts";

const history = sampleHistory();
const singles = Array.from({ length: 10 }, (_, n) => ({ level: 0, min: n + 1, max: n + 1 }));
const compacted = [
  { level: 1, min: 1, max: 3 },
  { level: 1, min: 4, max: 6 },
  { level: 2, min: 1, max: 6 },
  { level: 9, min: 1, max: 8 },
];

async function verifyDirectory(path: string): Promise<VerifyResult> {
  return verify({ replica: pathToFileURL(path).href });
}

/** `level:min-max result` of each file. */
function outline({ files }: VerifyResult): readonly string[] {
  return files.map(({ file, result }) => `${file.level}:${file.minTxid}-${file.maxTxid} ${result}`);
}

function failures({ files }: VerifyResult): readonly (readonly unknown[])[] {
  return files
    .filter(({ result }) => result === "failed")
    .map(({ file, pages }) => {
      const name = `${file.level}:${file.minTxid}-${file.maxTxid}`;
      return pages === undefined ? [name] : [name, pages];
    });
}

describe("verify", () => {
  it("proves every file of every level by recomputing the database checksum", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, [...singles, ...compacted]);
    const result = await verifyDirectory(directory.path);
    expect(result.files.filter((file) => file.result !== "proved")).toEqual([]);
    expect(result).toMatchObject({ result: "proved", txid: 10n, holes: [], overlaps: [] });
  });

  it("says what can be made anew from which files, and what cannot", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, [...singles, ...compacted]);
    const range = { level: 1, min: 4, max: 6 };
    const bytes = await history.fileOf(range);
    bytes[500] = (bytes[500] ?? 0) ^ 1;
    writeLtx(directory.path, range, bytes);
    const shown = async (): Promise<readonly unknown[]> => {
      const { repairs } = await verifyDirectory(directory.path);
      return repairs.map(({ level, from, to, damaged, sources }) => [
        `${level}:${from}-${to}`,
        damaged === undefined ? "missing" : "damaged",
        sources?.map((file) => `${file.level}:${file.minTxid}-${file.maxTxid}`),
      ]);
    };
    expect(await shown()).toEqual([["1:4-6", "damaged", ["0:4-4", "0:5-5", "0:6-6"]]]);
    rmSync(ltxPath(directory.path, { level: 0, min: 5, max: 5 }));
    expect(await shown()).toEqual([["1:4-6", "damaged", undefined]]);
    rmSync(ltxPath(directory.path, range));
    writeLtx(
      directory.path,
      { level: 1, min: 7, max: 8 },
      await history.fileOf({ min: 7, max: 8 }),
    );
    // The full image is of TXID 8: retention may have deleted what ends before the first file of a level.
    expect(await shown()).toEqual([
      ["1:4-4", "missing", ["0:4-4"]],
      ["1:6-6", "missing", ["0:6-6"]],
    ]);
  });

  it("names the file, and the page if another level holds the right one, of a page swapped under a fixed CRC", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, [...singles, ...compacted]);
    const swap = new Map([[1, pageOf(history.pageSize, 999)]]);
    for (const range of [singles[4], compacted[1]]) {
      if (range === undefined) continue;
      writeLtx(directory.path, range, await history.fileOf(range, {}, swap));
      const result = await verifyDirectory(directory.path);
      const name = `${range.level}:${range.min}-${range.max}`;
      expect(failures(result).map(([failed]) => failed)).toEqual([name]);
      expect(result.result).toBe("failed");
      writeLtx(directory.path, range, await history.fileOf(range));
    }
    const range = { level: 0, min: 6, max: 6 };
    writeLtx(directory.path, range, await history.fileOf(range, {}, swap));
    expect(failures(await verifyDirectory(directory.path))).toEqual([["0:6-6", [1]]]);
  });

  it("finds a page that a compacted file lacks, though the level below would have brought it", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, singles);
    const range = { level: 1, min: 2, max: 4 };
    const thinner = await sampleHistory().fileOf(
      { min: 4, max: 4 },
      {
        ...(await headerChanges(range)),
      },
    );
    writeLtx(directory.path, range, thinner);
    expect(failures(await verifyDirectory(directory.path)).map(([name]) => name)).toEqual([
      "1:2-4",
    ]);
  });

  it("calls files linked whose predecessors are gone, and unproved those without a proof", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, singles.slice(3));
    const first = { level: 9, min: 1, max: 1 };
    writeLtx(directory.path, first, await history.fileOf(first, { proof: undefined }));
    const result = await verifyDirectory(directory.path);
    expect(outline(result)).toEqual([
      "9:1-1 unproved",
      "0:4-4 unproved",
      ...[5, 6, 7, 8, 9, 10].map((n) => `0:${n}-${n} linked`),
    ]);
    expect(result.holes).toEqual([{ from: 2n, to: 3n }]);
    expect(result.result).toBe("failed");
  });

  it("names a replaced file, a renamed one, a damaged one, a short one and one of another page size", async () => {
    using directory = temporaryDirectory();
    const other = sampleHistory(8192);
    const range = { level: 0, min: 4, max: 4 };
    const good = await history.fileOf(range);
    const flipped = good.slice();
    flipped[good.length >> 1] = (flipped[good.length >> 1] ?? 0) ^ 1;
    const faults = new Map<string, Uint8Array>([
      [
        "does not continue",
        await history.fileOf(range, { proof: { before: 1n << 63n, after: history.checksumAt(4) } }),
      ],
      ["not what its name says", await history.fileOf({ min: 5, max: 5 })],
      ["ltx/0/0000000000000004-0000000000000004.ltx, byte", flipped],
      ["ends before its trailer", good.subarray(0, good.length - 9)],
      ["pages of 8192 bytes", await other.fileOf(range)],
    ]);
    for (const [text, bytes] of faults) {
      await history.writeFiles(directory.path, singles);
      writeLtx(directory.path, range, bytes);
      const result = await verifyDirectory(directory.path);
      const failed = result.files.filter((file) => file.result === "failed");
      expect(failed.map(({ file }) => file.maxTxid)).toEqual([4n]);
      expect(failed[0]?.problem).toContain(text);
    }
  });

  it("reports overlaps, which are legal, and the hole that a missing file leaves", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, [...singles, { level: 0, min: 3, max: 4 }]);
    const overlapping = await verifyDirectory(directory.path);
    expect(overlapping.overlaps.map(({ minTxid, maxTxid }) => `${minTxid}-${maxTxid}`)).toEqual([
      "3-4",
      "4-4",
    ]);
    expect(overlapping.files.filter(({ result }) => result === "failed")).toEqual([]);
    for (const range of [
      { level: 0, min: 4, max: 4 },
      { level: 0, min: 3, max: 4 },
    ]) {
      rmSync(ltxPath(directory.path, range));
    }
    const holed = await verifyDirectory(directory.path);
    expect(holed.holes).toEqual([{ from: 4n, to: 4n }]);
    expect(holed.result).toBe("failed");
  });

  it("notices two files that changed places", async () => {
    using directory = temporaryDirectory();
    await history.writeFiles(directory.path, singles);
    const [a, b] = [6, 7].map((n) => ltxPath(directory.path, { level: 0, min: n, max: n }));
    const [first, second] = [readFileSync(a ?? ""), readFileSync(b ?? "")];
    writeLtx(directory.path, { level: 0, min: 6, max: 6 }, second);
    writeLtx(directory.path, { level: 0, min: 7, max: 7 }, first);
    const result = await verifyDirectory(directory.path);
    expect(failures(result).map(([name]) => name)).toEqual(["0:6-6", "0:7-7"]);
  });

  it("says that there is no backup in an empty directory", async () => {
    using directory = temporaryDirectory();
    const failure: unknown = await verifyDirectory(directory.path).catch((error: unknown) => error);
    expect(hasCode(failure, "replica/empty")).toBe(true);
  });
});

describe("verify on Litestream's replicas", () => {
  const sound = goldenSetNames().filter(
    (name) => name !== "daemon-s3-4096" && name !== "quirk-daemon-downtime-gap-4096",
  );

  it.each(sound)("finds %s intact and unproved, all levels in agreement", async (name) => {
    using set = copyGolden(name);
    const result = await verifyDirectory(set.path);
    expect(result.files.filter((file) => file.result !== "unproved")).toEqual([]);
    expect(result.files).toHaveLength(set.files.length);
  });

  it("shows where Litestream lost transactions: its levels disagree", async () => {
    using set = copyGolden("quirk-daemon-downtime-gap-4096");
    const result = await verifyDirectory(set.path);
    expect(failures(result)).toEqual([["9:1-4", [3]]]);
    rmSync(ltxPath(set.path, { level: 9, min: 1, max: 4 }));
    expect((await verifyDirectory(set.path)).result).toBe("unproved");
  });
});

/** Header fields of a range, to put on a file that holds less. */
async function headerChanges({ min, max }: { readonly min: number; readonly max: number }) {
  const { toTxid } = await import("../../core/ltx/txid.ts");
  return {
    minTxid: toTxid(min),
    maxTxid: toTxid(max),
    proof: { before: history.checksumAt(min - 1), after: history.checksumAt(max) },
  };
}
