import { describe, expect, it } from "vitest";
import { replicaFile } from "../../../test/support/replica-file.ts";
import { findBrokenLinks } from "./links.ts";
import type { LinkedFile } from "./links.ts";

const image = 1n << 63n;

/** The database checksum after a TXID of the history "one". */
const one = (txid: number): bigint => image + BigInt(txid * 10);

function file(
  level: number,
  min: number,
  max: number,
  proof: { before: bigint; after: bigint } | undefined = {
    before: min === 1 ? image : one(min - 1),
    after: one(max),
  },
): LinkedFile {
  return { file: replicaFile(level, min, max, { key: `${level}/${min}-${max}` }), proof };
}

const brokenKeys = (files: readonly LinkedFile[]): readonly string[] =>
  findBrokenLinks(files).map((broken) => broken.file.key);

describe("findBrokenLinks", () => {
  it("finds nothing in one history, whatever the levels", () => {
    const files = [
      file(9, 1, 1),
      file(0, 2, 2),
      file(0, 3, 3),
      file(1, 2, 3),
      file(2, 2, 3),
      file(9, 1, 3),
      file(0, 4, 4),
    ];
    expect(brokenKeys(files)).toEqual([]);
    expect(brokenKeys(files.toReversed())).toEqual([]);
  });

  it("finds a file that continues another database", () => {
    const stranger = file(0, 3, 3, { before: one(7), after: one(3) });
    expect(brokenKeys([file(9, 1, 1), file(0, 2, 2), stranger, file(0, 4, 4)])).toEqual(["0/3-3"]);
  });

  it("finds a file that ends elsewhere than another of its TXID, and blames the one that comes later", () => {
    const merged = file(1, 2, 3, { before: one(1), after: one(8) });
    const files = [file(9, 1, 1), file(0, 2, 2), file(0, 3, 3)];
    expect(brokenKeys([...files, merged])).toEqual(["1/2-3"]);
    expect(brokenKeys([merged, ...files])).toEqual(["0/3-3"]);
    expect(findBrokenLinks([...files, merged])[0]?.problem).toContain("0/3-3");
  });

  it("does not judge what is not claimed, or has no neighbour", () => {
    expect(
      brokenKeys([
        file(0, 2, 2, { before: 0n, after: 0n }),
        { ...file(0, 3, 3), proof: undefined },
        file(0, 4, 4, { before: 0n, after: one(4) }),
        file(0, 9, 9),
      ]),
    ).toEqual([]);
  });
});
