import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes } from "../base/bytes.ts";
import type { ByteOrder } from "./layout.ts";
import { WalChecksum } from "./wal-checksum.ts";
import { WalReplay } from "./wal-replay.ts";
import { decodeWalHeader, encodeWalFrameHeader, encodeWalHeader, walFrameOffset } from "./wal.ts";

const pageSize = 512;

/** A WAL of frames [page, commit], each page filled with its frame's number. */
function buildWal(
  frames: readonly (readonly [number, number])[],
  checksumOrder: ByteOrder = "little",
): Uint8Array {
  const salts = { salt1: 7, salt2: 8 };
  const start = encodeWalHeader({ checksumOrder, pageSize, checkpointSequence: 1, ...salts });
  const { checksum1, checksum2 } = decodeWalHeader(start);
  const sum = new WalChecksum(checksumOrder, checksum1, checksum2);
  const parts: Uint8Array[] = [start];
  for (const [n, [pgno, commit]] of frames.entries()) {
    const frame = { pgno, commit, ...salts, checksum1: 0, checksum2: 0 };
    const page = new Uint8Array(pageSize).fill(n + 1);
    sum.add(encodeWalFrameHeader(frame).subarray(0, 8));
    sum.add(page);
    const sums = { checksum1: sum.sum1, checksum2: sum.sum2 };
    parts.push(encodeWalFrameHeader({ ...frame, ...sums }), page);
  }
  return concatBytes(parts);
}

function replayed(wal: Uint8Array, pieceBytes = wal.length): WalReplay {
  const replay = new WalReplay();
  for (let at = 0; at < wal.length; at += pieceBytes) replay.add(wal.subarray(at, at + pieceBytes));
  return replay;
}

describe("WalReplay", () => {
  const frames = [
    [1, 0],
    [2, 2],
    [2, 0],
    [3, 3],
    [4, 0],
    [1, 0],
  ] as const;

  it.each(["little", "big"] as const)(
    "finds the newest committed frame of each page (%s-endian checksums)",
    (order) => {
      const replay = replayed(buildWal(frames, order));
      expect([...replay.frameByPgno]).toEqual([
        [1, 1],
        [2, 3],
        [3, 4],
      ]);
      expect(replay.commit).toBe(3);
      expect(replay.endsWithCommit).toBe(false);
      expect(replayed(buildWal(frames.slice(0, 4))).endsWithCommit).toBe(true);
    },
  );

  it("takes the bytes in pieces of any size", () => {
    const wal = buildWal(frames);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), (pieceBytes) => {
        const replay = replayed(wal, pieceBytes);
        expect([replay.commit, replay.sizeBytes]).toEqual([3, wal.length]);
        expect(replay.frameByPgno.get(2)).toBe(3);
      }),
    );
  });

  it("has nothing to apply from a WAL without a commit, or cut off in its header", () => {
    expect(replayed(buildWal([[1, 0]])).commit).toBeUndefined();
    const cut = replayed(buildWal([]).subarray(0, 20));
    expect([cut.header, cut.endsWithCommit]).toEqual([undefined, false]);
    expect(replayed(buildWal([])).endsWithCommit).toBe(true);
  });

  it("refuses every flipped byte of a frame", () => {
    const wal = buildWal(frames);
    const from = walFrameOffset(1, pageSize);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: wal.length - 1 }), (at) => {
        expect(() => replayed(wal.with(at, (wal[at] ?? 0) ^ 1))).toThrow(
          at < from
            ? "not a SQLite WAL"
            : /^Frame \d of the WAL (?:has other salts|does not match)/u,
        );
      }),
      { numRuns: 500 },
    );
    expect(() => replayed(buildWal([[0, 1]]))).toThrow("names page 0");
  });
});
