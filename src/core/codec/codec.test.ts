// Both engines compute what the format says, and the same.
import * as fc from "fast-check";
import { compressSync, uncompressSync } from "lz4-napi";
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { buildKernel } from "../../../scripts/build-kernel.ts";
import { bytesEqual, viewOf } from "../base/bytes.ts";
import type { Codec, CodecEngine, PageKernel } from "./codec.ts";
import { openCodec } from "./codec.ts";
import { blockBoundBytes, frameHeaderSizeBytes } from "./kernel-areas.ts";

const engines: readonly CodecEngine[] = ["wasm", "typescript"];
const pageSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];
const checksumFlag = 1n << 63n;

/** CRC-64/ISO bit by bit, inverted, bit 63 set. */
function slowChecksum(bytes: Uint8Array): bigint {
  let state = 0xffff_ffff_ffff_ffffn;
  for (const byte of bytes) {
    state ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      state = (state & 1n) === 0n ? state >> 1n : (state >> 1n) ^ 0xd800_0000_0000_0000n;
    }
  }
  return (state ^ 0xffff_ffff_ffff_ffffn) | checksumFlag;
}

/** A page of one of the kinds that databases have: zeros, noise, short and long periods, sparse text. */
function makePage(pageSize: number, seed: number): Uint8Array {
  const page = new Uint8Array(pageSize);
  let state = (seed * 2_654_435_761) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  };
  const period = 1 + (seed % 40);
  for (let i = 0; i < pageSize; i++) {
    if (seed % 5 === 1) page[i] = next();
    else if (seed % 5 === 2) page[i] = i < period ? next() : (page[i - period] ?? 0);
    else if (seed % 5 === 3) page[i] = 97 + (next() % 2);
    else if (seed % 5 === 4 && next() < 20) page[i] = next();
  }
  return page;
}

function encodeFrame(kernel: PageKernel, pgno: number, page: Uint8Array): Uint8Array {
  kernel.pgnos[0] = pgno;
  kernel.pages.set(page);
  return kernel.frames.slice(0, kernel.encodePages(1, 0));
}

describe.each(engines)("%s engine", (engine) => {
  const codec = openCodec({ engine });

  test("says which engine it is", () => {
    expect(codec.engine).toBe(engine);
  });

  test("gives the check value of CRC-64/ISO", () => {
    using kernel = codec.openKernel(512);
    kernel.hash(new TextEncoder().encode("123456789"));
    expect(kernel.fileChecksum).toBe(0xb909_56c7_75a4_1001n);
  });

  test("hashes any length at any alignment, in any pieces", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 1500 }),
        fc.integer({ min: 0, max: 15 }),
        fc.nat(1500),
        (bytes, skip, cut) => {
          using kernel = codec.openKernel(512);
          const input = bytes.subarray(skip);
          kernel.hash(input.subarray(0, cut));
          kernel.hash(input.subarray(cut));
          expect(kernel.fileChecksum).toBe(slowChecksum(input));
        },
      ),
    );
  });

  test.each(pageSizes)("checksums pages of %i bytes", (pageSize) => {
    using kernel = codec.openKernel(pageSize);
    for (const seed of [0, 1, 2, 3, 4]) {
      const pgno = seed * 77_777_777 + 1;
      const page = makePage(pageSize, seed);
      const message = new Uint8Array(4 + pageSize);
      viewOf(message).setUint32(0, pgno);
      message.set(page, 4);
      kernel.pgnos[0] = pgno;
      kernel.pages.set(page);
      kernel.checksumPages(1);
      const expected = slowChecksum(message);
      expect(kernel.checksums[0]).toBe(expected);
      encodeFrame(kernel, pgno, page);
      expect(kernel.checksums[0]).toBe(expected);
    }
  });

  test("the file checksum covers frame headers and uncompressed pages", () => {
    const pageSize = 1024;
    const page = makePage(pageSize, 3);
    using kernel = codec.openKernel(pageSize);
    kernel.hash(new Uint8Array(100).fill(9));
    const frame = encodeFrame(kernel, 5, page);
    const hashed = Buffer.concat([
      new Uint8Array(100).fill(9),
      frame.subarray(0, frameHeaderSizeBytes),
      page,
    ]);
    expect(kernel.fileChecksum).toBe(slowChecksum(hashed));
    expect(kernel.pagesChecksum).toBe(kernel.checksums[0]);
  });

  test.each(pageSizes)(
    "blocks of %i bytes are decoded by liblz4, and its blocks by us",
    (pageSize) => {
      using kernel = codec.openKernel(pageSize);
      for (let seed = 0; seed < (pageSize > 8192 ? 40 : 120); seed++) {
        const page = makePage(pageSize, seed);
        const frame = encodeFrame(kernel, 1, page);
        expect(frame.length).toBeLessThanOrEqual(frameHeaderSizeBytes + blockBoundBytes(pageSize));
        // lz4-napi puts the length, little-endian, before the block.
        const sized = Buffer.concat([new Uint8Array(4), frame.subarray(frameHeaderSizeBytes)]);
        sized.writeUInt32LE(pageSize);
        expect(uncompressSync(sized).equals(page)).toBe(true);
        const theirs = compressSync(Buffer.from(page)).subarray(4);
        expect(decodeBlock(kernel, theirs)).toEqual(page);
      }
    },
  );

  test("a page is compressed to the same bytes alone and in a batch", () => {
    using kernel = codec.openKernel(512);
    const count = kernel.maxPages;
    for (let i = 0; i < count; i++) {
      kernel.pgnos[i] = i + 1;
      kernel.pages.set(makePage(512, i), 512 * i);
    }
    const batch = kernel.frames.slice(0, kernel.encodePages(count, 0));
    const single = Array.from({ length: count }, (_, i) =>
      encodeFrame(kernel, i + 1, makePage(512, i)),
    );
    expect(Buffer.concat(single).equals(batch)).toBe(true);
  });

  test("a full batch of incompressible pages fits the frame area", () => {
    using kernel = codec.openKernel(4096);
    for (let i = 0; i < kernel.maxPages; i++) kernel.pages.set(makePage(4096, 5 * i + 1), 4096 * i);
    const end = kernel.encodePages(kernel.maxPages, 100);
    expect(end).toBeGreaterThan(kernel.pages.length);
    expect(end).toBeLessThan(kernel.frames.length);
  });

  test("mutated blocks never break anything: they decode to a page or are refused", () => {
    const pageSize = 512;
    using kernel = codec.openKernel(pageSize);
    fc.assert(
      fc.property(
        fc.nat(200),
        fc.array(fc.tuple(fc.nat(600), fc.integer({ min: 1, max: 255 })), { maxLength: 4 }),
        fc.nat(600),
        (seed, flips, cut) => {
          const block = encodeFrame(kernel, 1, makePage(pageSize, seed)).slice(
            frameHeaderSizeBytes,
          );
          for (const [at, flip] of flips) {
            if (at < block.length) block[at] = (block[at] ?? 0) ^ flip;
          }
          const input = block.subarray(0, Math.max(1, cut));
          const guard = kernel.pages.slice(pageSize + 64, 8 * pageSize);
          const decoded = decodeBlock(kernel, input);
          expect(decoded?.length ?? pageSize).toBe(pageSize);
          const after = kernel.pages.subarray(pageSize + 64, 8 * pageSize);
          expect(bytesEqual(after, guard)).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

test("both engines accept and refuse the same blocks", () => {
  const kernels = engines.map((engine) => openCodec({ engine }).openKernel(512));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 700 }), fc.nat(100), (noise, seed) => {
      // Noise alone dies at its first token: put it behind the start of a good block.
      const [first] = kernels;
      const good = first === undefined ? noise : encodeFrame(first, 1, makePage(512, seed));
      const block = Buffer.concat([good.subarray(frameHeaderSizeBytes, 10 + (seed % 40)), noise]);
      const [wasm, typescript] = kernels.map((kernel) => decodeBlock(kernel, block));
      expect(wasm).toEqual(typescript);
    }),
    { numRuns: 3000 },
  );
});

/** The page that `block` gives, `undefined` if it is refused. */
function decodeBlock(kernel: PageKernel, block: Uint8Array): Uint8Array | undefined {
  kernel.frames.set(block, frameHeaderSizeBytes);
  viewOf(kernel.frames).setUint32(6, block.length);
  if (kernel.decodePages(1, 0) === 0) return undefined;
  return kernel.pages.slice(0, kernel.pageSize);
}

/** Stands in for `WebAssembly.Module` under a content-security policy. */
function blockedModule(): never {
  throw new Error("blocked by the content-security policy");
}

describe("choosing the engine", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  test("WebAssembly is taken where it works", () => {
    expect(openCodec().engine).toBe("wasm");
  });

  test("TypeScript is taken where WebAssembly is missing", () => {
    vi.stubGlobal("WebAssembly", undefined);
    expect(openCodec().engine).toBe("typescript");
  });

  test("TypeScript is taken where compiling is forbidden, and asking for WebAssembly says so", () => {
    vi.stubGlobal("WebAssembly", { Module: blockedModule });
    expect(openCodec().engine).toBe("typescript");
    expect(() => openCodec({ engine: "wasm" })).toThrow("content-security policy");
  });

  test("a disposed kernel is reused as good as new", () => {
    const codec: Codec = openCodec({ engine: "wasm" });
    const first = codec.openKernel(512);
    first.hash(Uint8Array.of(1, 2, 3));
    first[Symbol.dispose]();
    using second = codec.openKernel(512);
    expect(second.fileChecksum).toBe(slowChecksum(new Uint8Array(0)));
    expect(second).toBe(first);
  });
});

test("the committed kernel is what its source compiles to", async () => {
  const committed = readFileSync(new URL("kernel.generated.ts", import.meta.url), "utf8");
  expect(await buildKernel()).toBe(committed);
});
