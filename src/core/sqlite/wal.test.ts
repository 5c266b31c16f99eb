import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CaptureFixture } from "../../../test/support/capture-fixture.ts";
import { viewOf } from "../base/bytes.ts";
import {
  decodeWalFrameHeader,
  decodeWalHeader,
  encodeWalFrameHeader,
  encodeWalHeader,
  walFrameHeaderSizeBytes,
  walFrameOffset,
  walHeaderSizeBytes,
} from "./wal.ts";
import { WalChecksum } from "./wal-checksum.ts";
import {
  decodeWalIndex,
  encodeWalIndex,
  walIndexHeaderSizeBytes,
  walIndexPgnoRun,
  type WalIndex,
} from "./wal-index.ts";

const pageSizes = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];

/** The -wal and -shm of a database that this SQLite made, with `rows` commits beyond the first. */
function realWal(pageSize: number, rows = 3): { wal: Uint8Array; shm: Uint8Array } {
  using fixture = new CaptureFixture();
  const database = new DatabaseSync(fixture.path);
  database.exec(`PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL; CREATE TABLE a (x)`);
  database.exec("PRAGMA wal_autocheckpoint=0");
  const insert = database.prepare("INSERT INTO a VALUES (randomblob(100))");
  for (let i = 0; i < rows; i++) insert.run();
  const wal = new Uint8Array(readFileSync(`${fixture.path}-wal`));
  const shm = new Uint8Array(readFileSync(`${fixture.path}-shm`));
  database.close();
  return { wal, shm };
}

/** An independent, slow checksum straight from the format document. */
function slowChecksum(bytes: Uint8Array, littleEndian: boolean): [number, number] {
  const view = viewOf(bytes);
  let [s0, s1] = [0n, 0n];
  for (let i = 0; i < bytes.length; i += 8) {
    s0 = BigInt.asUintN(32, s0 + BigInt(view.getUint32(i, littleEndian)) + s1);
    s1 = BigInt.asUintN(32, s1 + BigInt(view.getUint32(i + 4, littleEndian)) + s0);
  }
  return [Number(s0), Number(s1)];
}

describe("the WAL checksum", () => {
  it("equals the document's definition in both byte orders, aligned or not, whole or in parts", () => {
    const words = fc.uint8Array({ minLength: 0, maxLength: 400 });
    const offsets = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(words, offsets, fc.boolean(), (data, offset, isLittle) => {
        const length = data.length & ~7;
        const bytes = new Uint8Array(length + offset).subarray(offset);
        bytes.set(data.subarray(0, length));
        const sum = new WalChecksum(isLittle ? "little" : "big");
        const half = (length / 2) & ~7;
        sum.add(bytes.subarray(0, half));
        sum.add(bytes.subarray(half));
        expect([sum.sum1, sum.sum2]).toEqual(slowChecksum(bytes, isLittle));
      }),
    );
  });
});

describe("a WAL", () => {
  it.each(pageSizes)(
    "of a real database with pages of %i bytes round-trips and adds up",
    (pageSize) => {
      const { wal, shm } = realWal(pageSize);
      const header = decodeWalHeader(wal);
      expect(header.pageSize).toBe(pageSize);
      expect(encodeWalHeader(header)).toEqual(wal.slice(0, walHeaderSizeBytes));
      const index = decodeWalIndex(shm);
      expect(index).toMatchObject({ pageSize, salt1: header.salt1, salt2: header.salt2 });

      const sum = new WalChecksum(header.checksumOrder, header.checksum1, header.checksum2);
      const frames = index?.frameCount ?? 0;
      let commits = 0;
      for (let frame = 1; frame <= frames; frame++) {
        const at = walFrameOffset(frame, pageSize);
        const frameHeader = decodeWalFrameHeader(wal, at);
        expect(encodeWalFrameHeader(frameHeader)).toEqual(
          wal.slice(at, at + walFrameHeaderSizeBytes),
        );
        sum.add(wal.subarray(at, at + 8));
        const page = at + walFrameHeaderSizeBytes;
        sum.add(wal.subarray(page, page + pageSize));
        expect([frameHeader.checksum1, frameHeader.checksum2]).toEqual([sum.sum1, sum.sum2]);
        if (frameHeader.commit > 0) commits++;
      }
      expect(index).toMatchObject({ checksum1: sum.sum1, checksum2: sum.sum2 });
      expect(index?.changeCounter).toBe(commits);
    },
  );

  it("header round-trips in both byte orders", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const headers = fc.record({
      checksumOrder: fc.constantFrom("big" as const, "little" as const),
      pageSize: fc.constantFrom(...pageSizes),
      checkpointSequence: u32,
      salt1: u32,
      salt2: u32,
    });
    fc.assert(
      fc.property(headers, (header) => {
        expect(decodeWalHeader(encodeWalHeader(header))).toMatchObject(header);
      }),
    );
  });

  it.each([
    ["magic", 3],
    ["version", 7],
    ["page size", 11],
    ["sequence", 15],
    ["salt", 19],
    ["checksum", 27],
  ])("header with a changed %s is refused", (_, offset) => {
    const { wal } = realWal(4096, 1);
    wal[offset] = (wal[offset] ?? 0) ^ 0x55;
    expect(() => decodeWalHeader(wal)).toThrow("not a SQLite WAL");
  });

  it("header that is cut off is refused", () => {
    expect(() => decodeWalHeader(new Uint8Array(31))).toThrow("31 bytes");
  });
});

describe("a wal-index", () => {
  it.each(pageSizes)("of a real database with pages of %i bytes round-trips", (pageSize) => {
    const { shm } = realWal(pageSize);
    const index = decodeWalIndex(shm);
    if (index === undefined) throw new Error("torn");
    const encoded = encodeWalIndex(index);
    // The bytes between the headers and the marks are SQLite's lock bytes and padding.
    expect(encoded.subarray(0, 120)).toEqual(shm.subarray(0, 120));
    expect(decodeWalIndex(encoded)).toEqual(index);
  });

  it("round-trips every value its fields can have", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const indexes: fc.Arbitrary<WalIndex> = fc.record({
      changeCounter: u32,
      checksumOrder: fc.constantFrom("big" as const, "little" as const),
      pageSize: fc.constantFrom(0, ...pageSizes),
      frameCount: u32,
      commit: u32,
      checksum1: u32,
      checksum2: u32,
      salt1: u32,
      salt2: u32,
      backfilledFrames: u32,
      readMarks: fc.array(u32, { minLength: 5, maxLength: 5 }),
      backfillAttempted: u32,
    });
    fc.assert(
      fc.property(indexes, (index) => {
        expect(decodeWalIndex(encodeWalIndex(index))).toEqual(index);
      }),
    );
  });

  it("is torn when any bit of one of the two headers differs", () => {
    const { shm } = realWal(4096);
    const offsets = fc.integer({ min: 0, max: 95 });
    const bits = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(offsets, bits, (offset, bit) => {
        const torn = shm.slice(0, walIndexHeaderSizeBytes);
        torn[offset] = (torn[offset] ?? 0) ^ (1 << bit);
        expect(decodeWalIndex(torn)).toBeUndefined();
      }),
    );
  });

  it("is torn when both headers have the same wrong bytes, are not initialised or cut off", () => {
    const { shm } = realWal(4096);
    const bytes = shm.slice(0, walIndexHeaderSizeBytes);
    bytes[16] = bytes[64] = 0x77;
    expect(decodeWalIndex(bytes)).toBeUndefined();
    expect(decodeWalIndex(new Uint8Array(walIndexHeaderSizeBytes))).toBeUndefined();
    expect(decodeWalIndex(shm.subarray(0, 135))).toBeUndefined();
  });

  it("of another format version is refused", () => {
    const { shm } = realWal(4096);
    const bytes = shm.slice(0, walIndexHeaderSizeBytes);
    bytes[0] = (bytes[0] ?? 0) + 1;
    const sum = new WalChecksum("little");
    sum.add(bytes.subarray(0, 40));
    viewOf(bytes).setUint32(40, sum.sum1, true);
    viewOf(bytes).setUint32(44, sum.sum2, true);
    bytes.copyWithin(48, 0, 48);
    expect(() => decodeWalIndex(bytes)).toThrow("version");
  });

  it("keeps the page number of every frame where it says, over several blocks", () => {
    const { wal, shm } = realWal(512, 6000);
    const view = viewOf(shm);
    const frameCount = decodeWalIndex(shm)?.frameCount ?? 0;
    expect(frameCount).toBeGreaterThan(4062 + 4096);
    for (let frame = 1; frame <= frameCount; frame++) {
      const { offset, count } = walIndexPgnoRun(frame);
      expect(count).toBeGreaterThan(0);
      const { pgno } = decodeWalFrameHeader(wal, walFrameOffset(frame, 512));
      if (view.getUint32(offset, true) !== pgno) throw new Error(`frame ${frame}`);
    }
  });
});
