// The format of the manifest: what is written is read, and nothing else.
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checksumFlag } from "../ltx/header.ts";
import { toTxid } from "../ltx/txid.ts";
import { litestreamLayout, litestreamS3Layout } from "./layout.ts";
import { type Manifest, type ManifestFile, encodeManifest, manifestChecksum } from "./manifest.ts";
import { parseManifest } from "./parse-manifest.ts";

const url = "https://host/replica";

function fileOf(changes: Partial<ManifestFile> = {}): ManifestFile {
  const name = { level: 1, minTxid: toTxid(3), maxTxid: toTxid(7) };
  return {
    ...name,
    key: litestreamLayout.key(name),
    sizeBytes: 1234,
    etag: "12-1234-99",
    timestampMs: 1_700_000_000_123,
    isExactTime: true,
    inside: undefined,
    checksumKey: undefined,
    ...changes,
  };
}

const whole: Manifest = {
  txid: toTxid(7),
  timestampMs: 1_700_000_000_123,
  pageSize: 4096,
  commit: 99,
  files: [
    fileOf(),
    fileOf({ level: 9, minTxid: toTxid(1), isExactTime: false, timestampMs: 0 }),
    fileOf({
      inside: {
        commit: 99,
        indexSizeBytes: 321,
        proof: { before: 0n, after: checksumFlag | 5n },
      },
      checksumKey: "page-checksums/1/0000000000000003-0000000000000007.checksums",
    }),
    fileOf({ inside: { commit: 0, indexSizeBytes: 9, proof: undefined } }),
  ],
  hot: { key: "hot-pages/0000000000000007.hot", sizeBytes: 77, txid: toTxid(7) },
  withdrawn: [{ key: "ltx/0/1.ltx" }, { key: "ltx/0/2.ltx", sinceMs: 1_700_000_000_999 }],
};

/** The text with a field changed, under a checksum that fits. */
function changed(from: string | RegExp, to: string): Uint8Array {
  const text = new TextDecoder().decode(encodeManifest(whole));
  const body = text.slice(0, text.lastIndexOf('"checksum"')).replace(from, to);
  expect(text.startsWith(body)).toBe(false);
  const encoder = new TextEncoder();
  return encoder.encode(`${body}"checksum":"${manifestChecksum(encoder.encode(body))}"}\n`);
}

test("what was written is read", () => {
  expect(parseManifest(encodeManifest(whole), url)).toEqual(whole);
  const without = { ...whole, files: [], hot: undefined, withdrawn: undefined };
  expect(parseManifest(encodeManifest(without), url)).toEqual(without);
});

test("any file is read as it was written", () => {
  const txid = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }).map(toTxid);
  const size = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const inside = fc.record({
    commit: size,
    indexSizeBytes: size,
    proof: fc.option(fc.constant({ before: checksumFlag, after: 0n }), { nil: undefined }),
  });
  const file = fc.record({
    level: fc.integer({ min: 0, max: 9 }),
    txids: fc.tuple(txid, txid),
    sizeBytes: size,
    etag: fc.string(),
    timestampMs: size,
    isExactTime: fc.boolean(),
    inside: fc.option(inside, { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(file), (files) => {
      const manifest = {
        ...whole,
        files: files.map(({ txids: [one, other], level, ...rest }) => {
          const name =
            one < other
              ? { level, minTxid: one, maxTxid: other }
              : { level, minTxid: other, maxTxid: one };
          return { ...rest, ...name, key: litestreamS3Layout.key(name), checksumKey: undefined };
        }),
      };
      expect(parseManifest(encodeManifest(manifest), url)).toEqual(manifest);
    }),
  );
});

test("every cut and every changed byte is noticed", () => {
  const bytes = encodeManifest(whole);
  // Without its last line feed it is the same.
  for (let length = 0; length < bytes.length - 1; length++) {
    expect(() => parseManifest(bytes.subarray(0, length), url)).toThrow(
      expect.objectContaining({ code: "replica/manifest" }),
    );
  }
  for (let at = 0; at < bytes.length - 1; at++) {
    const flipped = bytes.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    expect(() => parseManifest(flipped, url), `byte ${at}`).toThrow(
      expect.objectContaining({ code: "replica/manifest" }),
    );
  }
});

test.each([
  ["", "damaged or cut off"],
  ["<html>not found</html>", "damaged or cut off"],
  ["[]", "not a manifest of Headwater"],
  ['{"name":"app","icons":[]}', "not a manifest of Headwater"],
  ['{"format":"headwater-manifest","version":2}', "newer Headwater"],
  ['{"format":"headwater-manifest","version":"1"}', "damaged"],
])("%s is refused in plain words", (text, words) => {
  const parsing = (): unknown => parseManifest(new TextEncoder().encode(text), url);
  expect(parsing).toThrow(words);
  expect(parsing).toThrow(url);
});

test.each([
  ['"txid":"0000000000000007"', '"txid":"7"'],
  ['"txid":"0000000000000007"', '"txid":7'],
  ['"timestamp":"2023', '"timestamp":"never'],
  ['"pageSize":4096', '"pageSize":4095'],
  ['"commit":99,"hot"', '"commit":-1,"hot"'],
  ['"files":[', '"others":['],
  ['"files":[', '"files":[1,'],
  ['"level":1', '"level":10'],
  ['"level":1', '"level":1.5'],
  ['"minTxid":"0000000000000003"', '"minTxid":"0000000000000008"'],
  ['"maxTxid":"0000000000000007"', '"maxTxid":"0000000000000000"'],
  ['"key":"ltx/1/', '"key":"../ltx/1/'],
  ['"key":"ltx/1/', '"key":"/ltx/1/'],
  ['"key":"ltx/1/', '"key":"https://other/'],
  ['"sizeBytes":1234', '"sizeBytes":"1234"'],
  ['"sizeBytes":1234', '"sizeBytes":1e300'],
  ['"etag":"12-1234-99"', '"etag":null'],
  ['"timestampMs":1700000000123', '"timestampMs":null'],
  ['"indexSizeBytes":321', '"indexSizeBytes":null'],
  ['"before":"0000000000000000"', '"before":"0000000000000001"'],
  [/"after":"8/u, '"after":"x'],
  ['"checksumKey":"', '"checksumKey":"../'],
  ['"hot":{"key":"', '"hot":{"key":"//'],
  ['"withdrawn":[', '"withdrawn":[null,'],
  ['"withdrawn":[{"key":"', '"withdrawn":[{"key":"../'],
  ['"sinceMs":1700000000999', '"sinceMs":"2023"'],
])("%s in place of which stands %s is refused", (from, to) => {
  expect(() => parseManifest(changed(from, to), url)).toThrow(
    expect.objectContaining({ code: "replica/manifest" }),
  );
});

test("fields that are not known are passed over", () => {
  expect(parseManifest(changed('"level":1', '"colour":"blue","level":1'), url)).toEqual(whole);
});

test("the fields are those of the documentation", () => {
  const text = readFileSync(new URL("../../../docs/formats/manifest.md", import.meta.url), "utf8");
  const documented = new Set(
    Array.from(text.matchAll(/^\| `(?<name>\w+)` /gmu), ([, name]) => name),
  );
  const names = new TextDecoder().decode(encodeManifest(whole)).matchAll(/"(?<name>\w+)":/gu);
  expect(new Set(Array.from(names, ([, name]) => name))).toEqual(documented);
});
