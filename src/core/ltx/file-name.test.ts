import { expect, test } from "vitest";
import { formatLtxName, parseLtxName } from "./file-name.ts";
import { toTxid } from "./txid.ts";

test("a range of TXIDs and its name are the same thing", () => {
  const name = "0000000000000001-ffffffffffffffff.ltx";
  const range = { minTxid: toTxid(1), maxTxid: toTxid(0xffff_ffff_ffff_ffffn) };
  expect(formatLtxName(range.minTxid, range.maxTxid)).toBe(name);
  expect(parseLtxName(name)).toEqual(range);
});

test.each([
  "000000000000000A-000000000000000b.ltx",
  "0000000000000000-0000000000000001.ltx",
  "0000000000000002-0000000000000001.ltx",
  "0000000000000001-0000000000000001.ltx.tmp",
  "0000000000000001-0000000000000001.LTX",
  " 0000000000000001-0000000000000001.ltx",
  "1-1.ltx",
  "0000000000000001.ltx",
  "",
])("%j is not the name of an LTX file", (name) => {
  expect(parseLtxName(name)).toBeUndefined();
});
