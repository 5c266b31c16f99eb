// What is encoded decodes to the same, for every page size, both engines and any chunking.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chunked, decodeWhole, encodeWhole, ltxHeader } from "../../../test/support/ltx.ts";
import { bytesEqual } from "../base/bytes.ts";
import { lockPgno } from "../base/page.ts";
import type { CodecEngine } from "../codec/codec.ts";
import { openCodec } from "../codec/codec.ts";
import { openLtx } from "./decoder.ts";
import { LtxEncoder } from "./encoder.ts";
import { checksumFlag } from "./header.ts";
import { toTxid } from "./txid.ts";

const engines: readonly CodecEngine[] = ["wasm", "typescript"];
const pageSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

/** Pages like those of databases: zero runs, text, noise. */
function makePage(pageSize: number, seed: number): Uint8Array {
  const page = new Uint8Array(pageSize);
  let state = (seed * 2_654_435_761) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
  const kind = seed % 4;
  for (let i = 0; i < pageSize; i++) {
    if (kind === 0) page[i] = next();
    else if (kind === 1) page[i] = i < pageSize / 2 ? 0 : next() % 4;
    else if (kind === 2) page[i] = 97 + ((i * 7) % (3 + (seed % 30)));
  }
  return page;
}

describe.each(engines)("%s engine", (engine) => {
  const codec = openCodec({ engine });

  test.each(pageSizes)("pages of %i bytes come back as they were", async (pageSize) => {
    const pgnos = fc.uniqueArray(fc.integer({ min: 1, max: 5000 }), { maxLength: 90 });
    const seeds = fc.integer({ min: 0, max: 1000 });
    await fc.assert(
      fc.asyncProperty(
        pgnos,
        seeds,
        fc.integer({ min: 1, max: 9000 }),
        async (numbers, seed, chunkSize) => {
          const pageByPgno = new Map(
            numbers
              .toSorted((a, b) => a - b)
              .map((pgno) => [pgno, makePage(pageSize, pgno + seed)]),
          );
          const header = ltxHeader({ pageSize, commit: 5000, maxTxid: toTxid(9) });
          const bytes = await encodeWhole(codec, header, pageByPgno);
          const whole = await decodeWhole(codec, bytes, { chunkSize });
          expect(whole.header).toEqual(header);
          expect(whole.pageByPgno).toEqual(pageByPgno);
        },
      ),
      { numRuns: pageSize > 8192 ? 5 : 15 },
    );
  });

  test("a file given one byte at a time is read like a whole one", async () => {
    const pageByPgno = new Map([1, 2, 5].map((pgno) => [pgno, makePage(512, pgno)]));
    const bytes = await encodeWhole(codec, ltxHeader({ pageSize: 512, commit: 5 }), pageByPgno);
    const whole = await decodeWhole(codec, bytes, { chunkSize: 1 });
    expect(whole.pageByPgno).toEqual(pageByPgno);
  });

  test("the bytes of a page do not depend on the batch it is encoded in", async () => {
    const pageSize = 1024;
    const pgnos = Uint32Array.from({ length: 40 }, (_, i) => i + 1);
    const header = ltxHeader({ pageSize, commit: 40 });
    const batched = await encodeWhole(
      codec,
      header,
      new Map([...pgnos].map((pgno) => [pgno, makePage(pageSize, pgno)])),
    );
    using encoder = new LtxEncoder(codec, header);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < pgnos.length; i++) {
      parts.push(encoder.encodePages(pgnos, i, 1, makePage(pageSize, i + 1)).slice());
    }
    parts.push(encoder.finish());
    expect(bytesEqual(batched, Buffer.concat(parts))).toBe(true);
    expect(encoder.sizeBytes).toBe(batched.length);
  });

  test("a snapshot's checksum of pages is the XOR of its page checksums", async () => {
    const header = ltxHeader({ pageSize: 512, commit: 3, minTxid: toTxid(1) });
    using encoder = new LtxEncoder(codec, header);
    const pages = new Uint8Array(3 * 512).map((_, i) => i % 251);
    const head = encoder.encodePages(Uint32Array.of(1, 2, 3), 0, 3, pages).slice();
    const { pagesChecksum } = encoder;
    const { checksumByPgno } = await decodeWhole(codec, Buffer.concat([head, encoder.finish()]));
    const xor = [...checksumByPgno.values()].reduce((a, b) => a ^ b, 0n);
    expect(pagesChecksum).toBe(xor | checksumFlag);
  });

  test("a file without pages is read", async () => {
    const bytes = await encodeWhole(codec, ltxHeader({ commit: 9 }), new Map());
    expect((await decodeWhole(codec, bytes)).pageByPgno.size).toBe(0);
  });

  test("a database beyond 1 GiB skips the lock page", async () => {
    for (const pageSize of [4096, 65_536]) {
      const lock = lockPgno(pageSize);
      const pageByPgno = new Map(
        [1, lock - 1, lock + 1].map((pgno) => [pgno, makePage(pageSize, pgno)]),
      );
      const header = ltxHeader({ pageSize, commit: lock + 1 });
      const whole = await decodeWhole(codec, await encodeWhole(codec, header, pageByPgno));
      expect(whole.pageByPgno).toEqual(pageByPgno);
      const withLock = new Map([[lock, makePage(pageSize, 1)]]);
      await expect(encodeWhole(codec, header, withLock)).rejects.toMatchObject({
        code: "ltx/order",
      });
    }
  });
});

test("a snapshot beyond 1 GiB is complete without the lock page", async () => {
  const codec = openCodec();
  const pageSize = 65_536;
  const lock = lockPgno(pageSize);
  const header = ltxHeader({ pageSize, commit: lock + 1, minTxid: toTxid(1) });
  const zeros = new Uint8Array(pageSize);
  const pgnos = Array.from({ length: lock + 1 }, (_, i) => i + 1).filter((pgno) => pgno !== lock);
  const bytes = await encodeWhole(codec, header, new Map(pgnos.map((pgno) => [pgno, zeros])));
  const reader = await openLtx(codec, chunked(bytes, 100_000), { name: "snapshot" });
  let count = 0;
  for await (const batch of reader.pages()) count += batch.count;
  expect(count).toBe(lock);
});
