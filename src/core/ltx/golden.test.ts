// Every file that Litestream wrote decodes, and applying a set's files in order gives the states on record.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeWhole } from "../../../test/support/ltx.ts";
import { DatabaseImage } from "../../../test/support/database-image.ts";
import type { GoldenFile, GoldenSet } from "../../../test/support/golden.ts";
import { goldenSetNames, readGoldenSet } from "../../../test/support/golden.ts";
import { openCodec } from "../codec/codec.ts";
import { parseLtxName } from "./file-name.ts";

describe.each(goldenSetNames())("golden set %s", (name) => {
  const set = readGoldenSet(name);
  const codec = openCodec();
  // A restore of these starts from a snapshot that differs from the chain: the bug they are kept for.
  const isChainBroken = name.startsWith("quirk-daemon");
  const isChainWhole = set.files.some(({ level, minTxid }) => level === 0 && minTxid === 1n);

  test.each(["wasm", "typescript"] as const)(
    "every file decodes as recorded: %s",
    async (engine) => {
      const chosen = openCodec({ engine });
      for (const file of set.files) {
        const { header, trailer, pageByPgno } = await decodeWhole(chosen, readFile(set, file), {
          name: file.path,
        });
        expect(header).toMatchObject({
          pageSize: file.pageSize,
          commit: file.commit,
          minTxid: file.minTxid,
          maxTxid: file.maxTxid,
          timestampMs: file.timestampMs,
          noChecksum: true,
          proof: undefined,
        });
        expect(trailer.postApplyChecksum).toBe(0n);
        expect(pageByPgno.size).toBe(file.pageCount ?? pageByPgno.size);
        expect(parseLtxName(file.path.split("/").at(-1) ?? "")).toEqual({
          minTxid: file.minTxid,
          maxTxid: file.maxTxid,
        });
      }
    },
  );

  test.runIf(isChainWhole && !isChainBroken)(
    "the files of level 0, applied in order, give each state on record",
    async () => {
      const levelZero = set.files.filter(({ level }) => level === 0);
      levelZero.sort((a, b) => Number(a.maxTxid - b.maxTxid));
      const actual = new Map<bigint, string>();
      const image = new DatabaseImage(set.pageSize);
      for (const file of levelZero) {
        const { header, pageByPgno } = await decodeWhole(codec, readFile(set, file));
        image.apply(header.commit, pageByPgno);
        actual.set(file.maxTxid, image.sha256());
      }
      expect(actual).toEqual(recordedFor(set, actual));
    },
  );

  test("every snapshot gives the state on record for its TXID", async () => {
    const actual = new Map<bigint, string>();
    for (const file of set.files.filter(({ minTxid }) => minTxid === 1n)) {
      const { header, pageByPgno } = await decodeWhole(codec, readFile(set, file));
      const image = new DatabaseImage(set.pageSize);
      image.apply(header.commit, pageByPgno);
      actual.set(file.maxTxid, image.sha256());
    }
    expect(actual).toEqual(recordedFor(set, actual));
  });
});

/** `actual` with the hashes on record wherever there is one. */
function recordedFor(
  { restores }: GoldenSet,
  actual: ReadonlyMap<bigint, string>,
): ReadonlyMap<bigint, string> {
  const sha256ByTxid = new Map<bigint, string | undefined>(
    restores.map(({ txid, sha256 }) => [txid, sha256]),
  );
  return new Map([...actual].map(([txid, sha256]) => [txid, sha256ByTxid.get(txid) ?? sha256]));
}

function readFile(set: GoldenSet, file: GoldenFile): Uint8Array {
  const bytes = readFileSync(join(set.path, file.path));
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(file.sha256);
  return bytes;
}
