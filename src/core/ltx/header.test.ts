// The header: every field comes back, and every value the format forbids is refused in both directions.
import { describe, expect, test } from "vitest";
import { ltxHeader } from "../../../test/support/ltx.ts";
import { viewOf } from "../base/bytes.ts";
import type { LtxHeader } from "./header.ts";
import { checksumFlag, decodeHeader, encodeHeader, ltxHeaderLayout } from "./header.ts";
import { toTxid } from "./txid.ts";

type Field = keyof typeof ltxHeaderLayout;

/** A good header with one field overwritten. */
function withField(field: Field, value: bigint, base: Partial<LtxHeader> = {}): Uint8Array {
  const bytes = encodeHeader(ltxHeader(base));
  const [offset, size] = ltxHeaderLayout[field];
  if (size === 4) viewOf(bytes).setUint32(offset, Number(value));
  else viewOf(bytes).setBigUint64(offset, value);
  return bytes;
}

const proof = { before: checksumFlag | 5n, after: checksumFlag | 6n };

describe("what comes back", () => {
  test.each<Partial<LtxHeader>>([
    {},
    { pageSize: 65_536, commit: 0xffff_ffff, timestampMs: -1 },
    { minTxid: toTxid(5), maxTxid: toTxid(0xffff_ffff_ffff_ffffn), nodeId: 0xffff_ffff_ffff_ffffn },
    { walOffset: 4152n, walSize: 0x7fff_ffff_ffff_ffffn, walSalt1: 0xffff_ffff, walSalt2: 1 },
    { proof },
    { proof: { before: 0n, after: checksumFlag } },
    { minTxid: toTxid(1), proof: { before: checksumFlag, after: checksumFlag | 1n } },
    { minTxid: toTxid(1), proof: { before: 0n, after: checksumFlag | 1n } },
    { noChecksum: false, preApplyChecksum: checksumFlag },
    { noChecksum: false, minTxid: toTxid(1), commit: 0 },
  ])("%o", (changes) => {
    const header = ltxHeader(changes);
    expect(decodeHeader(encodeHeader(header))).toEqual(header);
  });

  test("an unknown tag in the reserved bytes means no proof", () => {
    const bytes = withField("proofTag", 0x4857_5032n, { proof });
    expect(decodeHeader(bytes).proof).toBeUndefined();
  });
});

describe("what is refused when read", () => {
  const forbidden: readonly (readonly [string, Field, bigint, Partial<LtxHeader>?])[] = [
    ["another magic", "magic", 0x4c54_5832n],
    ["an unknown flag", "flags", 6n],
    ["a page size that is no power of two", "pageSize", 1000n],
    ["a page size below 512", "pageSize", 256n],
    ["a page size above 65536", "pageSize", 131_072n],
    ["an empty database without checksums", "commit", 0n],
    ["min TXID 0", "minTxid", 0n],
    ["max TXID below min TXID", "maxTxid", 1n],
    ["a timestamp beyond 2^53", "timestampMs", 1n << 60n],
    ["a pre-apply checksum where there are none", "preApplyChecksum", checksumFlag],
    ["no pre-apply checksum where one is due", "flags", 0n],
    ["a negative WAL offset", "walOffset", checksumFlag],
    ["a negative WAL size", "walSize", checksumFlag],
    ["a WAL size without an offset", "walSize", 1n, { walOffset: 0n }],
    ["salt 1 without a WAL offset", "walSalt1", 1n, { walOffset: 0n }],
    ["salt 2 without a WAL offset", "walSalt2", 1n, { walOffset: 0n }],
    ["a proof whose before lacks bit 63", "proofBefore", 1n, { proof }],
    ["a proof whose after lacks bit 63", "proofAfter", 1n, { proof }],
    ["a tag with an empty proof", "proofTag", 0x4857_5031n],
    [
      "a snapshot that starts from something",
      "proofBefore",
      checksumFlag | 1n,
      { minTxid: toTxid(1), proof: { before: 0n, after: checksumFlag } },
    ],
    [
      "a pre-apply checksum in a snapshot",
      "preApplyChecksum",
      checksumFlag,
      { minTxid: toTxid(1), noChecksum: false },
    ],
    [
      "a pre-apply checksum without bit 63",
      "preApplyChecksum",
      1n,
      { noChecksum: false, preApplyChecksum: checksumFlag },
    ],
  ];

  const headers = forbidden.map(([what, field, value, base]) => ({
    what,
    bytes: withField(field, value, base),
  }));

  test.each(headers)("$what", ({ bytes }) => {
    expect(() => decodeHeader(bytes, "x.ltx")).toThrow(
      expect.objectContaining({
        code: "ltx/invalid",
        message: expect.stringMatching(/^x\.ltx, byte \d+: /u),
      }),
    );
  });

  test("fewer than 100 bytes", () => {
    expect(() => decodeHeader(encodeHeader(ltxHeader()).subarray(0, 99))).toThrow(
      expect.objectContaining({ code: "ltx/short" }),
    );
  });
});

describe("what is refused when written", () => {
  test.each<readonly [string, Partial<LtxHeader>]>([
    ["page size", { pageSize: 1000 }],
    ["commit", { commit: -1 }],
    ["commit", { commit: 2 ** 32 }],
    ["empty database", { commit: 0 }],
    ["max TXID", { minTxid: toTxid(3), maxTxid: toTxid(2) }],
    ["timestamp", { timestampMs: 1.5 }],
    ["pre-apply", { preApplyChecksum: checksumFlag }],
    ["pre-apply", { noChecksum: false }],
    ["WAL offset", { walOffset: -1n }],
    ["WAL size", { walSize: -1n }],
    ["salt", { walOffset: 0n, walSalt1: 1 }],
    ["salt 1", { walSalt1: -1 }],
    ["salt 2", { walSalt2: 2 ** 32 }],
    ["node id", { nodeId: 1n << 64n }],
    ["proof", { proof: { before: 0n, after: 0n } }],
    ["before", { proof: { before: 1n, after: checksumFlag } }],
    ["after", { proof: { before: checksumFlag, after: 1n << 64n } }],
    ["snapshot", { minTxid: toTxid(1), proof }],
  ])("%s: %o", (word, changes) => {
    expect(() => encodeHeader(ltxHeader(changes))).toThrow(
      expect.objectContaining({ code: "ltx/invalid", message: expect.stringContaining(word) }),
    );
  });
});
