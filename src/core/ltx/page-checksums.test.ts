// The table of page checksums against a plain model.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeWhole, encodeWhole, ltxHeader } from "../../../test/support/ltx.ts";
import { lockPgno } from "../base/page.ts";
import { openCodec } from "../codec/codec.ts";
import { checksumFlag } from "./header.ts";
import { checksumPages, PageChecksums } from "./page-checksums.ts";

const checksum = fc.bigInt({ min: 0n, max: checksumFlag - 1n }).map((bits) => bits | checksumFlag);

describe("the table", () => {
  test("behaves like a map whose XOR is always known", () => {
    const step = fc.oneof(
      fc.record({ pgno: fc.integer({ min: 1, max: 3000 }), checksum }),
      fc.record({ commit: fc.integer({ min: 0, max: 3000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const table = new PageChecksums(4096);
        const model = new Map<number, bigint>();
        let commit = 0;
        for (const change of steps) {
          if ("pgno" in change) {
            table.set(change.pgno, change.checksum);
            model.set(change.pgno, change.checksum);
            commit = Math.max(commit, change.pgno);
          } else {
            table.truncate(change.commit);
            commit = change.commit;
            for (const pgno of model.keys()) if (pgno > commit) model.delete(pgno);
          }
        }
        const xor = [...model.values()].reduce((a, b) => a ^ b, 0n) | checksumFlag;
        for (const copy of [table, PageChecksums.fromBytes(table.toBytes())]) {
          expect(copy.commit).toBe(commit);
          expect(copy.databaseChecksum).toBe(xor);
          for (const pgno of [1, 2, 3000, ...model.keys()]) {
            expect(copy.get(pgno)).toBe(model.get(pgno) ?? 0n);
          }
        }
      }),
    );
  });

  test("many at once are the same as one by one", () => {
    const pgnos = Uint32Array.of(9, 1, 2, 5);
    const checksums = BigUint64Array.of(checksumFlag | 1n, checksumFlag | 2n, 3n, 4n);
    const one = new PageChecksums(512);
    const many = new PageChecksums(512);
    for (let i = 0; i < 3; i++) one.set(pgnos[i + 1] ?? 0, checksums[i] ?? 0n);
    many.setMany(pgnos, 1, 3, checksums);
    expect(many.toBytes()).toEqual(one.toBytes());
    expect(many.databaseChecksum).toBe(one.databaseChecksum);
  });

  test("leaves the lock page out", () => {
    const table = new PageChecksums(65_536);
    const lock = lockPgno(65_536);
    table.set(1, checksumFlag | 1n);
    table.set(lock, checksumFlag | 2n);
    expect(table.databaseChecksum).toBe(checksumFlag | 1n);
    expect(table.get(lock)).toBe(0n);
  });

  test("an empty database has the checksum of no pages", () => {
    expect(new PageChecksums(4096).databaseChecksum).toBe(checksumFlag);
  });

  test.each([
    ["too short", (bytes: Uint8Array) => bytes.subarray(0, 11)],
    ["cut off", (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 1)],
    ["of another kind", (bytes: Uint8Array) => bytes.with(0, 0)],
    ["of no page size", (bytes: Uint8Array) => bytes.with(6, 0)],
  ])("bytes that are %s are refused", (_, damage) => {
    const table = new PageChecksums(4096);
    table.set(1, checksumFlag);
    expect(() => PageChecksums.fromBytes(damage(table.toBytes()))).toThrow(
      expect.objectContaining({ code: "ltx/invalid" }),
    );
  });
});

test.each(["wasm", "typescript"] as const)(
  "checksumPages agrees with the decoder: %s",
  async (engine) => {
    const codec = openCodec({ engine });
    const pageSize = 512;
    const pgnos = Uint32Array.from({ length: 700 }, (_, i) => 3 * i + 1);
    const pages = new Uint8Array(pgnos.length * pageSize).map((_, i) => i >> 7);
    const pageByPgno = new Map(
      [...pgnos].map((pgno, i) => [pgno, pages.subarray(i * pageSize, (i + 1) * pageSize)]),
    );
    const bytes = await encodeWhole(codec, ltxHeader({ pageSize, commit: 3000 }), pageByPgno);
    const { checksumByPgno } = await decodeWhole(codec, bytes);
    const from = 10;
    const into = new BigUint64Array(pgnos.length - from);
    checksumPages(codec, pageSize, pgnos, from, into.length, pages.subarray(from * pageSize), into);
    expect([...into]).toEqual([...checksumByPgno.values()].slice(from));
  },
);
