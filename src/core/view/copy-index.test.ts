import { describe, expect, it } from "vitest";
import { tableOf } from "../../../test/support/frame-tables.ts";
import { openCodec } from "../codec/codec.ts";
import { toTxid } from "../ltx/txid.ts";
import { CopyIndex, type FileIdentity } from "./copy-index.ts";
import { PageMap } from "./page-map.ts";

const codec = openCodec();
const files: readonly FileIdentity[] = [
  { key: "ltx/9/a.ltx", etag: "1" },
  { key: "ltx/0/b.ltx", etag: "2" },
];
const fileOf = (number: number): FileIdentity => files[number] ?? { key: "other", etag: "3" };

const at = (pgno: number, offset: number) => ({ pgno, offset, sizeBytes: 90 });
const renumbered = (number: number): FileIdentity => fileOf(number - 10);

/** Pages 1 to 5 in file 0, of which file 1 replaces page 2 and adds page 7. */
function sampleMap(second = 1): PageMap {
  const state = { pageSize: 512, timestampMs: 0 };
  return PageMap.empty(512)
    .apply(
      { ...state, commit: 5, minTxid: toTxid(1), maxTxid: toTxid(1) },
      tableOf(
        0,
        [1, 2, 3, 4, 5].map((pgno) => at(pgno, 100 * pgno)),
      ),
    )
    .apply(
      { ...state, commit: 7, minTxid: toTxid(2), maxTxid: toTxid(2) },
      tableOf(second, [at(2, 100), at(7, 200)]),
    );
}

function sampleIndex(): CopyIndex {
  const index = CopyIndex.of(sampleMap(), fileOf);
  for (let pgno = 1; pgno <= 7; pgno++) index.setChecksum(pgno, 2n ** 63n + BigInt(pgno));
  return index;
}

describe("what a copy holds", () => {
  it("is the very frames that it was made of, by object and place", () => {
    const index = sampleIndex();
    const map = sampleMap();
    for (const pgno of [1, 2, 3, 4, 5, 7]) {
      const frame = map.locate(pgno);
      if (frame === undefined) throw new Error(`no page ${pgno}`);
      expect(index.holds(pgno, frame, fileOf)).toBe(true);
      expect(index.holds(pgno, { ...frame, offset: frame.offset + 1 }, fileOf)).toBe(false);
      expect(index.holds(pgno, { ...frame, file: frame.file + 7 }, fileOf)).toBe(false);
    }
    // A page that no file held.
    expect(index.holds(6, { file: 0, offset: 0, sizeBytes: 1 }, fileOf)).toBe(false);
    expect(index.holds(8, { file: 0, offset: 800, sizeBytes: 1 }, fileOf)).toBe(false);
  });

  it("is less of a map whose pages lie elsewhere", () => {
    const index = sampleIndex();
    expect(index.missingShare(sampleMap(), fileOf)).toBe(0);
    expect(index.missingShare(sampleMap(5), fileOf)).toBeCloseTo(2 / 7);
  });

  it("is told by files of another table, where they have other numbers", () => {
    const decoded = CopyIndex.decode(codec, sampleIndex().encode(codec));
    const frame = { file: 11, offset: 100, sizeBytes: 90 };
    expect(decoded?.holds(2, frame, renumbered)).toBe(true);
    expect(decoded?.holds(2, { ...frame, file: 10 }, renumbered)).toBe(false);
  });
});

describe("its record", () => {
  it("gives back what went in", () => {
    const index = sampleIndex();
    const bytes = index.encode(codec);
    const decoded = CopyIndex.decode(codec, bytes);
    expect(decoded?.encode(codec)).toEqual(bytes);
    expect(decoded).toMatchObject({ txid: 2n, pageSize: 512, commit: 7, sizeBytes: 7 * 512 });
    expect(decoded?.checksumOf(3)).toBe(2n ** 63n + 3n);
  });

  it("is nothing with any byte flipped, any part missing, or more behind it", () => {
    const bytes = sampleIndex().encode(codec);
    for (let index = 0; index < bytes.length; index++) {
      const flipped = bytes.slice();
      flipped[index] = (flipped[index] ?? 0) ^ 0x10;
      expect(CopyIndex.decode(codec, flipped)).toBeUndefined();
      expect(CopyIndex.decode(codec, bytes.slice(0, index))).toBeUndefined();
    }
    expect(CopyIndex.decode(codec, Uint8Array.of(...bytes, 0))).toBeUndefined();
  });
});
