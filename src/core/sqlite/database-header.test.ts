import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CaptureFixture } from "../../../test/support/capture-fixture.ts";
import {
  databaseHeaderSizeBytes,
  decodeDatabaseHeader,
  encodeDatabaseHeader,
  hasWalResetBug,
  isWalMode,
} from "./database-header.ts";

/** The header of a database that this SQLite made. */
function realHeader(pragmas: string): Uint8Array {
  using fixture = new CaptureFixture();
  const path = join(fixture.directory, "made.db");
  const database = new DatabaseSync(path);
  database.exec(`${pragmas}; CREATE TABLE a (x); INSERT INTO a VALUES (1)`);
  database.close();
  return new Uint8Array(readFileSync(path).subarray(0, databaseHeaderSizeBytes));
}

const pageSizes = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];

describe("a database header", () => {
  it.each(pageSizes)("of a real database with pages of %i bytes round-trips", (pageSize) => {
    const bytes = realHeader(
      `PRAGMA page_size=${pageSize}; PRAGMA auto_vacuum=FULL; PRAGMA user_version=77; PRAGMA application_id=99`,
    );
    const header = decodeDatabaseHeader(bytes);
    expect(header).toMatchObject({ pageSize, userVersion: 77, applicationId: 99, pageCount: 3 });
    expect(header.versionValidFor).toBe(header.changeCounter);
    expect(isWalMode(header)).toBe(false);
    expect(encodeDatabaseHeader(header)).toEqual(bytes);
  });

  it("says that a database is in WAL mode", () => {
    expect(isWalMode(decodeDatabaseHeader(realHeader("PRAGMA journal_mode=WAL")))).toBe(true);
  });

  it("round-trips every value its fields can have", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const headers = fc.record({
      pageSize: fc.constantFrom(...pageSizes),
      writeVersion: fc.integer({ min: 1, max: 255 }),
      readVersion: fc.constantFrom(1, 2),
      reservedBytes: fc.integer({ min: 0, max: 32 }),
      changeCounter: u32,
      pageCount: u32,
      firstFreelistPgno: u32,
      freelistCount: u32,
      schemaCookie: u32,
      schemaFormat: fc.integer({ min: 0, max: 4 }),
      defaultCacheSize: u32,
      largestRootPgno: u32,
      textEncoding: fc.integer({ min: 0, max: 3 }),
      userVersion: u32,
      incrementalVacuum: u32,
      applicationId: u32,
      versionValidFor: u32,
      sqliteVersion: u32,
    });
    fc.assert(
      fc.property(headers, (header) => {
        expect(decodeDatabaseHeader(encodeDatabaseHeader(header))).toEqual(header);
      }),
    );
  });

  const faults: readonly (readonly [string, number, number])[] = [
    ["magic", 3, 0],
    ["page size", 16, 3],
    ["page size", 17, 7],
    ["write version", 18, 0],
    ["read version", 19, 0],
    ["read version", 19, 3],
    ["reserved bytes", 20, 255],
    ["payload fraction", 21, 65],
    ["payload fraction", 22, 31],
    ["payload fraction", 23, 0],
    ["schema format", 47, 5],
    ["text encoding", 59, 4],
  ];
  it.each(faults)("with a wrong %s at offset %i is refused", (_, offset, value) => {
    const bytes = realHeader("PRAGMA page_size=512");
    bytes[offset] = value;
    expect(() => decodeDatabaseHeader(bytes)).toThrow("not a SQLite database");
  });

  it("that is cut off is refused", () => {
    expect(() => decodeDatabaseHeader(realHeader("").subarray(0, 99))).toThrow("99 bytes");
  });
});

describe("the WAL-reset bug", () => {
  it.each([
    [3_006_023, false],
    [3_007_000, true],
    [3_040_001, true],
    [3_044_005, true],
    [3_044_006, false],
    [3_045_000, true],
    [3_050_006, true],
    [3_050_007, false],
    [3_051_002, true],
    [3_051_003, false],
    [3_053_004, false],
  ])("of version %i: %s", (version, expected) => {
    expect(hasWalResetBug(version)).toBe(expected);
  });
});
