// Reading single pages: the index from the end of a file, then one frame.
import * as fc from "fast-check";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readGoldenSet } from "../../../test/support/golden.ts";
import { decodeWhole, encodeWhole, ltxHeader } from "../../../test/support/ltx.ts";
import { concatBytes } from "../base/bytes.ts";
import { type CodecEngine, openCodec } from "../codec/codec.ts";
import { decodePageFrame } from "./page-block.ts";
import type { PageIndexEntry, PageIndexTail } from "./page-index.ts";
import { PageIndexWriter, readPageIndex } from "./page-index.ts";

const codec = openCodec();
const engines: readonly CodecEngine[] = ["wasm", "typescript"];

/** The entries in `tail`, which must hold all of the index. */
function entriesOf(tail: PageIndexTail): readonly PageIndexEntry[] {
  if (tail.kind === "more") throw new Error(`${tail.tailSizeBytes} bytes are needed`);
  return [...tail.index];
}

test.each(["basic-4096", "seeded-65536", "daemon-vacuum-512", "daemon-legacy-0.5.0"])(
  "every page of %s is found through the index",
  async (name) => {
    const set = readGoldenSet(name);
    for (const { path } of set.files.slice(-8)) {
      const bytes = readFileSync(join(set.path, path));
      const whole = await decodeWhole(codec, bytes);
      const fileSizeBytes = bytes.length;
      const tail = readPageIndex(codec, bytes.subarray(-24), { name: path, fileSizeBytes });
      const tailSizeBytes = tail.kind === "more" ? tail.tailSizeBytes : 0;
      const entries = entriesOf(
        readPageIndex(codec, bytes.subarray(-tailSizeBytes), { name: path, fileSizeBytes }),
      );
      expect(entries.map(({ pgno }) => pgno)).toEqual([...whole.pageByPgno.keys()]);
      for (const { pgno, offset, sizeBytes } of entries) {
        const frame = bytes.subarray(offset, offset + sizeBytes);
        const single = decodePageFrame(codec, set.pageSize, frame, { name: path, offset });
        expect(single.pgno).toBe(pgno);
        expect(single.checksum).toBe(whole.checksumByPgno.get(pgno));
        expect(Buffer.from(single.page).equals(whole.pageByPgno.get(pgno) ?? Buffer.of())).toBe(
          true,
        );
      }
    }
  },
);

test.each(engines)("an index of any numbers comes back, by %s", (engine) => {
  const reading = openCodec({ engine });
  const entry = fc.record({
    gap: fc.integer({ min: 1, max: 1_000_000 }),
    sizeBytes: fc.nat(200_000),
  });
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 50 }),
      fc.integer({ min: 100, max: 2 ** 45 }),
      (steps, start) => {
        const writer = new PageIndexWriter();
        const expected: PageIndexEntry[] = [];
        let offset = start;
        let pgno = 0;
        for (const { gap, sizeBytes } of steps) {
          pgno += gap;
          writer.add(pgno, offset, sizeBytes);
          expected.push({ pgno, offset, sizeBytes });
          offset += sizeBytes;
        }
        const tail = concatBytes([writer.finish(), new Uint8Array(16)]);
        const fileSizeBytes = offset + tail.length;
        expect(entriesOf(readPageIndex(reading, tail, { name: "x", fileSizeBytes }))).toEqual(
          expected,
        );
      },
    ),
  );
});

test("both engines find the same in any bytes", () => {
  const [one, other] = engines.map((engine) => openCodec({ engine }));
  const numbers = fc.oneof(fc.nat(20), fc.integer({ min: 100, max: 255 }));
  fc.assert(
    fc.property(fc.array(numbers, { maxLength: 60 }), fc.nat(100_000), (index, limit) => {
      const bytes = Uint8Array.from(index);
      expect(one?.readIndex(bytes, limit)).toEqual(other?.readIndex(bytes, limit));
    }),
    { numRuns: 2000 },
  );
});

/** Reads an index given as bytes, at the end of a file of 1000. */
function read(
  index: readonly number[],
  {
    length = index.length,
    engine = "wasm",
  }: { length?: number | undefined; engine?: CodecEngine } = {},
): PageIndexTail {
  const lengthBytes = [0, 0, 0, 0, 0, 0, length >> 8, length & 255];
  const tail = Uint8Array.of(...index, ...lengthBytes, ...new Uint8Array(16));
  return readPageIndex(openCodec({ engine }), tail, { name: "x", fileSizeBytes: 1000 });
}

describe.each(engines)("an index is refused by %s", (engine) => {
  const invalid = expect.objectContaining({ code: "ltx/invalid" });

  test("that is sound is not", () => {
    expect(entriesOf(read([1, 100, 20, 2, 120, 20, 0], { engine }))).toHaveLength(2);
  });

  test.each<{ what: string; index: number[]; length?: number }>([
    { what: "without an end", index: [1, 100, 20] },
    { what: "cut off in a number", index: [1, 100, 0x80] },
    { what: "with a number in long form", index: [0x81, 0, 100, 20, 0] },
    {
      what: "with a number beyond 2^53",
      index: [1, 255, 255, 255, 255, 255, 255, 255, 255, 1, 20, 0],
    },
    { what: "with pages that descend", index: [2, 100, 20, 1, 120, 20, 0] },
    { what: "with frames that overlap", index: [1, 100, 20, 2, 110, 20, 0] },
    { what: "with a page number of 33 bits", index: [255, 255, 255, 255, 31, 100, 20, 0] },
    { what: "with a frame beyond the index", index: [1, 100, 255, 127, 0] },
    { what: "with bytes after its end", index: [1, 100, 20, 0, 0] },
    { what: "of no length", index: [0], length: 0 },
    { what: "longer than the file", index: [0], length: 999 },
  ])("$what", ({ index, length }) => {
    expect(() => read(index, { length, engine })).toThrow(invalid);
  });

  test("when the file is too short for one", () => {
    const tail = new Uint8Array(23);
    expect(() => readPageIndex(codec, tail, { name: "x", fileSizeBytes: 23 })).toThrow(
      expect.objectContaining({ code: "ltx/short" }),
    );
  });
});

describe("a frame is refused", async () => {
  const pageSize = 512;
  const page = new Uint8Array(pageSize).map((_, i) => i);
  const file = await encodeWhole(codec, ltxHeader({ pageSize }), new Map([[1, page]]));
  const [entry] = entriesOf(readPageIndex(codec, file, { name: "x", fileSizeBytes: file.length }));
  const frame = file.slice(100, 100 + (entry?.sizeBytes ?? 0));
  const place = { name: "x", offset: 100 };

  test("if it is cut off", () => {
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodePageFrame(codec, pageSize, frame.subarray(0, length), place)).toThrow(
        expect.objectContaining({ code: "ltx/short" }),
      );
    }
  });

  test.each([
    ["its block is damaged", frame.with(10, 0x0f)],
    ["it has no page number", frame.with(3, 0)],
    ["its flags are unknown", frame.with(5, 2)],
    ["it is the end of the page block", new Uint8Array(6)],
    ["there is more behind it", concatBytes([frame, frame])],
  ])("if %s", (_, bytes) => {
    expect(() => decodePageFrame(codec, pageSize, bytes, place)).toThrow(
      expect.objectContaining({ code: "ltx/invalid" }),
    );
  });
});
