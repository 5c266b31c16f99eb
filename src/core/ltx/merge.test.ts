// A merge has the effect of its inputs applied in order, proves what they prove, and refuses what does not fit.
import * as fc from "fast-check";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DatabaseImage } from "../../../test/support/database-image.ts";
import type { GoldenSet } from "../../../test/support/golden.ts";
import { readGoldenSet } from "../../../test/support/golden.ts";
import type { WholeLtx } from "../../../test/support/ltx.ts";
import {
  chunked,
  collect,
  decodeWhole,
  encodeWhole,
  ltxHeader,
} from "../../../test/support/ltx.ts";
import { openCodec } from "../codec/codec.ts";
import { lockPgno } from "../base/page.ts";
import type { LtxProof } from "./header.ts";
import type { MergeOptions } from "./merge.ts";
import { mergeLtx } from "./merge.ts";
import { toTxid } from "./txid.ts";

const codec = openCodec();
const pageSize = 512;

async function mergeWhole(
  files: readonly Uint8Array[],
  options: MergeOptions = {},
): Promise<Uint8Array> {
  const inputs = files.map((bytes, i) => ({ name: `input ${i}`, chunks: chunked(bytes, 1000) }));
  return collect(mergeLtx(codec, inputs, options));
}

function filledPage(value: number): Uint8Array {
  return new Uint8Array(pageSize).map((_, i) => value + (i % 7));
}

interface FileModel {
  readonly commit: number;
  readonly pgnos: readonly number[];
}

/** A file of the model with TXID `txid`; TXID 1 is a snapshot. */
function encodeModel({ commit, pgnos }: FileModel, txid: number): Promise<Uint8Array> {
  const numbers =
    txid === 1
      ? Array.from({ length: commit }, (_, i) => i + 1)
      : [...new Set(pgnos)].filter((pgno) => pgno <= commit).toSorted((a, b) => a - b);
  const header = ltxHeader({ pageSize, commit, minTxid: toTxid(txid), maxTxid: toTxid(txid) });
  return encodeWhole(codec, header, new Map(numbers.map((pgno) => [pgno, filledPage(txid * 10)])));
}

async function applyAll(
  files: readonly Uint8Array[],
  image = new DatabaseImage(pageSize),
): Promise<string> {
  for (const bytes of files) {
    const { header, pageByPgno } = await decodeWhole(codec, bytes);
    image.apply(header.commit, pageByPgno);
  }
  return image.sha256();
}

describe("effect", () => {
  const model = fc.record({
    commit: fc.integer({ min: 1, max: 12 }),
    pgnos: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }),
  });

  test("any chain, shrinking and growing, merges to the same database", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(model, { minLength: 1, maxLength: 7 }),
        fc.nat(6),
        async (models, cut) => {
          const files = await Promise.all(models.map((file, i) => encodeModel(file, i + 1)));
          const expected = await applyAll(files);
          expect(await applyAll([await mergeWhole(files)])).toBe(expected);
          const head = files.slice(0, cut);
          const tail = files.slice(cut);
          const merged = tail.length === 0 ? [] : [await mergeWhole(tail)];
          expect(await applyAll([...head, ...merged])).toBe(expected);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("the header spans the inputs and takes size and time of the last", async () => {
    const first = ltxHeader({
      pageSize,
      commit: 9,
      minTxid: toTxid(4),
      maxTxid: toTxid(6),
      walSalt1: 5,
    });
    const last = ltxHeader({
      pageSize,
      commit: 3,
      minTxid: toTxid(6),
      maxTxid: toTxid(8),
      timestampMs: 1_800_000_000_000,
    });
    const files = await Promise.all(
      [first, last].map((header) => encodeWhole(codec, header, new Map([[2, filledPage(1)]]))),
    );
    const { header } = await decodeWhole(codec, await mergeWhole(files));
    const expected = { ...last, minTxid: first.minTxid, walOffset: 0n, nodeId: 0n };
    expect(header).toEqual(expected);
    const ours = await decodeWhole(codec, await mergeWhole(files, { walOffset: 32n, nodeId: 9n }));
    expect(ours.header).toEqual({ ...expected, walOffset: 32n, nodeId: 9n });
  });

  test("one file merges to itself", async () => {
    const bytes = await encodeModel({ commit: 5, pgnos: [1, 4] }, 3);
    const merged = await mergeWhole([bytes], { walOffset: 32n, nodeId: 7n });
    expect(Buffer.from(merged).equals(bytes)).toBe(true);
  });

  test("more pages than a batch holds are merged in order", async () => {
    const pgnos = Array.from({ length: 1500 }, (_, i) => i + 1);
    const files = await Promise.all(
      [2, 3].map((txid) =>
        encodeModel({ commit: 1500, pgnos: pgnos.filter((n) => n % txid > 0) }, txid),
      ),
    );
    expect(await applyAll([await mergeWhole(files)])).toBe(await applyAll(files));
  });

  test("growing over 1 GiB never makes the lock page", async () => {
    const large = 65_536;
    const lock = lockPgno(large);
    const file = (txid: number, commit: number): Promise<Uint8Array> =>
      encodeWhole(
        codec,
        ltxHeader({ pageSize: large, commit, minTxid: toTxid(txid), maxTxid: toTxid(txid) }),
        new Map([[commit, new Uint8Array(large).fill(txid)]]),
      );
    const merged = await mergeWhole([await file(2, lock - 2), await file(3, lock + 2)]);
    const { pageByPgno } = await decodeWhole(codec, merged);
    expect([...pageByPgno.keys()]).toEqual([lock - 2, lock - 1, lock + 1, lock + 2]);
  });
});

describe("golden sets", () => {
  test.each(["basic-4096", "autovacuum-4096", "vacuum-4096", "daemon-vacuum-512", "seeded-65536"])(
    "level 0 of %s merges to its last state",
    async (name) => {
      const set = readGoldenSet(name);
      const merged = await mergeWhole(readLevel(set, 0));
      const whole = await decodeWhole(codec, merged);
      const last = set.restores.find(({ txid }) => txid === whole.header.maxTxid);
      expect(stateOf(whole)).toBe(last?.sha256);
    },
  );

  test("pages in the old format are merged into the new one", async () => {
    const set = readGoldenSet("daemon-legacy-0.5.0");
    const files: Uint8Array[] = [];
    // The newest snapshot, then whatever reaches farthest.
    let reached = 0n;
    for (let level = 9; ; level = 0) {
      const next = set.files
        .filter(
          (file) => file.level >= level && file.minTxid <= reached + 1n && file.maxTxid > reached,
        )
        .toSorted((x, y) => Number(y.maxTxid - x.maxTxid))
        .at(0);
      if (next === undefined) break;
      files.push(readFileSync(join(set.path, next.path)));
      reached = next.maxTxid;
    }
    expect(files.length).toBeGreaterThan(3);
    const whole = await decodeWhole(codec, await mergeWhole(files));
    const recorded = set.restores.find(({ txid }) => txid === whole.header.maxTxid);
    expect(stateOf(whole)).toBe(recorded?.sha256);
  });
});

function readLevel(set: GoldenSet, wanted: number): readonly Uint8Array[] {
  return set.files
    .filter(({ level }) => level === wanted)
    .toSorted((a, b) => Number(a.maxTxid - b.maxTxid))
    .map(({ path }) => readFileSync(join(set.path, path)));
}

function stateOf({ header, pageByPgno }: WholeLtx): string {
  const image = new DatabaseImage(header.pageSize);
  image.apply(header.commit, pageByPgno);
  return image.sha256();
}

/** A checksum. */
function known(n: bigint): bigint {
  return (1n << 63n) | n;
}

async function mergedProof(
  proofs: readonly (LtxProof | undefined)[],
): Promise<LtxProof | undefined> {
  const files = await Promise.all(
    proofs.map((proof, i) => {
      const txid = toTxid(i + 2);
      const header = ltxHeader({ pageSize, minTxid: txid, maxTxid: txid, proof });
      return encodeWhole(codec, header, new Map());
    }),
  );
  return (await decodeWhole(codec, await mergeWhole(files))).header.proof;
}

describe("proof", () => {
  test("the first before and the last after are taken over", async () => {
    const chain = [
      { before: known(1n), after: known(2n) },
      { before: known(2n), after: known(3n) },
    ];
    expect(await mergedProof(chain)).toEqual({ before: known(1n), after: known(3n) });
  });

  test("an end that is not known stays unknown", async () => {
    const proof = { before: known(1n), after: known(2n) };
    expect(await mergedProof([undefined, { before: 0n, after: known(2n) }])).toEqual({
      before: 0n,
      after: known(2n),
    });
    expect(await mergedProof([proof, undefined])).toEqual({ before: known(1n), after: 0n });
    expect(await mergedProof([undefined, proof, undefined])).toBeUndefined();
  });

  test("proofs that contradict are refused", async () => {
    const broken = mergedProof([
      { before: known(1n), after: known(2n) },
      { before: known(4n), after: known(3n) },
    ]);
    await expect(broken).rejects.toMatchObject({ code: "ltx/order", data: { name: "input 1" } });
  });
});

describe("refusals", () => {
  test("a gap, a repetition and another page size are named", async () => {
    const two = await encodeModel({ commit: 1, pgnos: [1] }, 2);
    const four = await encodeModel({ commit: 1, pgnos: [1] }, 4);
    await expect(mergeWhole([two, four])).rejects.toMatchObject({ code: "ltx/order" });
    await expect(mergeWhole([two, two])).rejects.toMatchObject({ code: "ltx/order" });
    const other = await encodeWhole(
      codec,
      ltxHeader({ pageSize: 1024, minTxid: toTxid(3), maxTxid: toTxid(3) }),
      new Map(),
    );
    await expect(mergeWhole([two, other])).rejects.toMatchObject({ code: "ltx/invalid" });
  });

  test("a damaged input is named even if all of its pages are dropped", async () => {
    const damaged = (await encodeModel({ commit: 9, pgnos: [9] }, 2)).slice();
    const last = damaged.length - 1;
    damaged[last] = (damaged[last] ?? 0) ^ 1;
    const shrunk = await encodeModel({ commit: 1, pgnos: [1] }, 3);
    await expect(mergeWhole([damaged, shrunk])).rejects.toMatchObject({
      code: "ltx/checksum",
      data: { name: "input 0" },
    });
  });

  test("every input is closed when one cannot be opened", async () => {
    const closed: string[] = [];
    const input = (
      name: string,
      bytes: Uint8Array,
    ): { name: string; chunks: AsyncGenerator<Uint8Array> } => ({
      name,
      chunks: (async function* chunks() {
        try {
          yield bytes;
        } finally {
          closed.push(name);
        }
      })(),
    });
    const good = await encodeModel({ commit: 1, pgnos: [1] }, 2);
    const inputs = [input("good", good), input("bad", new Uint8Array(100))];
    await expect(collect(mergeLtx(codec, inputs))).rejects.toMatchObject({ code: "ltx/invalid" });
    expect(closed.toSorted()).toEqual(["bad", "good"]);
  });

  test("an abort stops it", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    const file = await encodeModel({ commit: 1, pgnos: [1] }, 2);
    await expect(mergeWhole([file], { signal })).rejects.toThrow("enough");
  });
});
