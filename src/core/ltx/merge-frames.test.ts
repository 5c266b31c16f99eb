// A merge copies frames and decodes each page once; the file is the one that decoding everything and encoding it again gives,
// byte for byte, and no damaged input passes.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chunked,
  collect,
  decodeWhole,
  encodeWhole,
  ltxHeader,
} from "../../../test/support/ltx.ts";
import { frame, oldFrame, parts, partPageSize, assemble } from "../../../test/support/ltx-parts.ts";
import { bytesEqual } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type Codec, type CodecEngine, openCodec } from "../codec/codec.ts";
import { mergeLtx } from "./merge.ts";
import { toTxid } from "./txid.ts";

const pageSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

/** By kind: noise, which compression makes longer, zeros, or text. */
function makePage(pageSize: number, seed: number): Uint8Array {
  const page = new Uint8Array(pageSize);
  let state = seed;
  for (let i = 0; i < pageSize; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    if (seed % 3 === 0) page[i] = state >>> 24;
    else if (seed % 3 === 1) page[i] = i < 4 ? seed : 0;
    else page[i] = 97 + ((state >>> 24) % 3);
  }
  return page;
}

/** Which pages each file holds; all have the same commit. */
type Chain = readonly (readonly number[])[];

const commit = 40;

function chains({
  maxFiles,
  maxPages,
}: {
  maxFiles: number;
  maxPages: number;
}): fc.Arbitrary<Chain> {
  const pgnos = fc.uniqueArray(fc.integer({ min: 1, max: commit }), { maxLength: maxPages });
  return fc.array(pgnos, { minLength: 1, maxLength: maxFiles });
}

function pagesOf(
  pageSize: number,
  pgnos: readonly number[],
  txid: number,
): Map<number, Uint8Array> {
  const sorted = pgnos.toSorted((a, b) => a - b);
  return new Map(sorted.map((pgno) => [pgno, makePage(pageSize, txid * 102 + pgno)]));
}

function encodeChain(codec: Codec, pageSize: number, chain: Chain): Promise<Uint8Array[]> {
  return Promise.all(
    chain.map((pgnos, i) => {
      const header = ltxHeader({
        pageSize,
        commit,
        minTxid: toTxid(i + 2),
        nodeId: 0n,
        walOffset: 0n,
      });
      return encodeWhole(codec, header, pagesOf(pageSize, pgnos, i + 2));
    }),
  );
}

/** What the chain merges to, by decoding all of it and encoding the newest image of each page. */
async function encodedAgain(
  codec: Codec,
  pageSize: number,
  files: readonly Uint8Array[],
): Promise<Uint8Array> {
  const newest = new Map<number, Uint8Array>();
  for (const bytes of files) {
    const { pageByPgno } = await decodeWhole(codec, bytes);
    for (const [pgno, page] of pageByPgno) newest.set(pgno, page);
  }
  const sorted = new Map([...newest].toSorted(([a], [b]) => a - b));
  const [minTxid, maxTxid] = [toTxid(2), toTxid(files.length + 1)];
  const header = ltxHeader({ pageSize, commit, minTxid, maxTxid, nodeId: 0n, walOffset: 0n });
  return encodeWhole(codec, header, sorted);
}

function merged(codec: Codec, files: readonly Uint8Array[], chunkSize = 1000): Promise<Uint8Array> {
  const inputs = files.map((bytes, i) => ({
    name: `input ${i}`,
    chunks: chunked(bytes, chunkSize),
  }));
  return collect(mergeLtx(codec, inputs));
}

describe.each<CodecEngine>(["wasm", "typescript"])("%s engine", (engine) => {
  const codec = openCodec({ engine });

  test.each(pageSizes)(
    "copied frames of %i bytes are what encoding again gives",
    async (pageSize) => {
      const chunkSizes = fc.integer({ min: 1 + pageSize / 8, max: 4 * pageSize });
      await fc.assert(
        fc.asyncProperty(
          chains({ maxFiles: 12, maxPages: 12 }),
          chunkSizes,
          async (chain, chunkSize) => {
            const files = await encodeChain(codec, pageSize, chain);
            const expected = await encodedAgain(codec, pageSize, files);
            const actual = await merged(codec, files, chunkSize);
            expect(bytesEqual(actual, expected)).toBe(true);
          },
        ),
        { numRuns: pageSize > 8192 ? 8 : 25 },
      );
    },
  );
});

describe("many files", () => {
  test("300 inputs, each longer than its share of memory, are merged as one after the other", async () => {
    const codec = openCodec();
    const pageSize = 8192;
    const chain = Array.from({ length: 300 }, (_, i) =>
      Array.from({ length: 5 }, (__, k) => 1 + ((i * 7 + k * 8) % commit)).filter(
        (pgno, at, all) => all.indexOf(pgno) === at,
      ),
    );
    const files = await encodeChain(codec, pageSize, chain);
    const [kernel] = codec.openKernels(pageSize, chain.length);
    expect(Math.max(...files.map(({ length }) => length))).toBeGreaterThan(
      kernel?.frames.length ?? 0,
    );
    const expected = await encodedAgain(codec, pageSize, files);
    expect(bytesEqual(await merged(codec, files), expected)).toBe(true);
  });

  test("files of both formats merge to new frames only", async () => {
    const codec = openCodec();
    const old = assemble(parts([oldFrame(1), frame(2), oldFrame(4)]));
    const whole = await decodeWhole(codec, old);
    const again = await decodeWhole(codec, await merged(codec, [old], 50));
    expect(again.pageByPgno).toEqual(whole.pageByPgno);
    expect(again.checksumByPgno).toEqual(whole.checksumByPgno);
    expect(whole.header.pageSize).toBe(partPageSize);
  });
});

describe("damage", () => {
  test("a flipped byte anywhere in any input is refused and named, or changes nothing", async () => {
    const codec = openCodec();
    // Pages that compress to almost nothing, so short files; enough of them to share memory.
    const more: Chain = Array.from({ length: 6 }, () => [4]);
    const files = await encodeChain(codec, 512, [[1, 4, 7], [4, 10], [1, 10, 13], ...more]);
    const sound = await decodeWhole(codec, await merged(codec, files));
    let refusals = 0;
    for (const [order, file] of files.entries()) {
      for (let at = 0; at < file.length; at++) {
        const damaged = files.with(order, file.with(at, (file[at] ?? 0) ^ 0x41));
        try {
          const bytes = await merged(codec, damaged);
          // Two blocks can decode to the same page: then nothing is lost.
          expect((await decodeWhole(codec, bytes)).pageByPgno).toEqual(sound.pageByPgno);
        } catch (error) {
          if (!(error instanceof HeadwaterError)) throw error;
          expect(error.code).toMatch(/^ltx\//u);
          // A header that leads elsewhere is noticed at the file after it.
          expect(error.message).toMatch(
            at < 100 ? /^input \d/u : new RegExp(`^input ${order}`, "u"),
          );
          refusals++;
        }
      }
    }
    expect(refusals).toBeGreaterThan(0.9 * files.reduce((sum, { length }) => sum + length, 0));
  });

  test("a merge that fails has handed out no end: what came before is not a file", async () => {
    const codec = openCodec();
    const files = await encodeChain(codec, 4096, [
      [1, 2, 5, 9],
      [2, 3],
    ]);
    const [first = new Uint8Array(0), second = first] = files;
    const last = first.length - 1;
    const damaged = [first.with(last, 255 - (first[last] ?? 0)), second];
    const handedOut: Uint8Array[] = [];
    const inputs = damaged.map((bytes, i) => ({ name: `input ${i}`, chunks: chunked(bytes, 100) }));
    const reading = (async () => {
      for await (const chunk of mergeLtx(codec, inputs)) handedOut.push(chunk.slice());
    })();
    await expect(reading).rejects.toMatchObject({
      code: "ltx/checksum",
      data: { name: "input 0" },
    });
    await expect(decodeWhole(codec, Buffer.concat(handedOut))).rejects.toMatchObject({
      code: "ltx/short",
    });
  });
});
