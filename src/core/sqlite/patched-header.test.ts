import { expect, it } from "vitest";
import { createSeededRandom } from "../testing/seeded-random.ts";
import {
  decodeDatabaseHeader,
  encodeDatabaseHeader,
  isWalMode,
  patchDatabaseHeader,
} from "./database-header.ts";
import { putPatchedBytes, takePatchedBytes } from "./patched-header.ts";

it("takes exactly what the patch overwrites, so that a page comes back byte for byte", () => {
  const page = createSeededRandom(1).bytes(4096);
  const original = page.slice();
  const taken = takePatchedBytes(page);
  patchDatabaseHeader(page, { pageCount: 77, changeCounter: 0x1234_5678 });
  expect(page).not.toEqual(original);
  putPatchedBytes(page, taken);
  expect(page).toEqual(original);
});

it("leaves a header that SQLite trusts, in rollback-journal mode", () => {
  const header = {
    pageSize: 4096,
    writeVersion: 2,
    readVersion: 2,
    reservedBytes: 0,
    changeCounter: 5,
    pageCount: 9,
    firstFreelistPgno: 0,
    freelistCount: 0,
    schemaCookie: 1,
    schemaFormat: 4,
    defaultCacheSize: 0,
    largestRootPgno: 0,
    textEncoding: 1,
    userVersion: 3,
    incrementalVacuum: 0,
    applicationId: 0,
    versionValidFor: 4,
    sqliteVersion: 3_051_003,
  };
  const bytes = encodeDatabaseHeader(header);
  patchDatabaseHeader(bytes, { pageCount: 10, changeCounter: 8 });
  const patched = decodeDatabaseHeader(bytes);
  expect(isWalMode(patched)).toBe(false);
  expect(patched).toEqual({
    ...header,
    writeVersion: 1,
    readVersion: 1,
    changeCounter: 8,
    versionValidFor: 8,
    pageCount: 10,
  });
});
