// Several kernels that share their pages do what each would do alone, and a frame counts the same whether its page is
// decoded or only its content CRC is known.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CodecEngine, PageKernel } from "./codec.ts";
import { openCodec } from "./codec.ts";
import { frameHeaderSizeBytes, maxBlockSizeBytes } from "./kernel-areas.ts";

const engines: readonly CodecEngine[] = ["wasm", "typescript"];
const pageSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

/** Text that repeats and a page number, so that no two pages are the same. */
function makePage(pageSize: number, seed: number): Uint8Array {
  return new Uint8Array(pageSize).map((_, i) => (i < 8 ? seed * (i + 7) : (i * seed) % 61));
}

/** Frames of pages `first`, `first + 1`, ... */
function encodeFrames(kernel: PageKernel, first: number, count: number): Uint8Array {
  for (let i = 0; i < count; i++) {
    kernel.pgnos[i] = first + i;
    kernel.pages.set(makePage(kernel.pageSize, first + i), i * kernel.pageSize);
  }
  return kernel.frames.slice(0, kernel.encodePages(count, 0));
}

interface Sums {
  readonly file: bigint;
  readonly pages: bigint;
}

function sumsOf({ fileChecksum, pagesChecksum }: PageKernel): Sums {
  return { file: fileChecksum, pages: pagesChecksum };
}

describe.each(engines)("%s engine", (engine) => {
  const codec = openCodec({ engine });

  test.each(pageSizes)("frames of %i bytes count as if they were decoded", (pageSize) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0xffff_0000 }),
        fc.integer({ min: 1, max: 4 }),
        fc.uint8Array({ maxLength: 40 }),
        (first, count, before) => {
          using decoding = codec.openKernel(pageSize);
          const frames = encodeFrames(codec.openKernel(pageSize), first, count);
          decoding.hash(before);
          decoding.frames.set(frames);
          expect(decoding.decodePages(count, 0)).toBe(count);
          using copying = codec.openKernel(pageSize);
          copying.hash(before);
          copying.frames.set(frames, 5);
          copying.contentCrcs.set(decoding.contentCrcs.subarray(0, count));
          copying.hashFrames(count, 5);
          expect(sumsOf(copying)).toEqual(sumsOf(decoding));
          // The next bytes go on from there.
          for (const kernel of [decoding, copying]) kernel.hash(frames.subarray(0, 33));
          expect(sumsOf(copying)).toEqual(sumsOf(decoding));
        },
      ),
      { numRuns: 15 },
    );
  });

  test("encoding finds the same content CRCs as decoding, whatever comes before", () => {
    using kernel = codec.openKernel(1024);
    encodeFrames(kernel, 3, 4);
    const encoded = kernel.contentCrcs.slice(0, 4);
    kernel.hash(Uint8Array.of(1, 2, 3));
    kernel.decodePages(4, 0);
    expect(kernel.contentCrcs.slice(0, 4)).toEqual(encoded);
  });

  test.each(pageSizes)(
    "several kernels of %i bytes work in turn as each does alone",
    (pageSize) => {
      const kernels = codec.openKernels(pageSize, 10);
      const alone = kernels.map(() => codec.openKernel(pageSize));
      for (let turn = 0; turn < 3; turn++) {
        for (const [i, kernel] of kernels.entries()) {
          const single = alone[i] ?? kernel;
          const frames = encodeFrames(codec.openKernel(pageSize), 1 + turn * 7 + i, 2);
          for (const one of [kernel, single]) {
            one.hash(Uint8Array.of(turn, i));
            one.frames.set(frames);
            expect(one.decodePages(2, 0)).toBe(2);
          }
          expect(kernel.pages.slice(0, 2 * pageSize)).toEqual(single.pages.slice(0, 2 * pageSize));
        }
      }
      expect(kernels.map((kernel) => sumsOf(kernel))).toEqual(
        alone.map((kernel) => sumsOf(kernel)),
      );
      expect(new Set(kernels.map(({ fileChecksum }) => fileChecksum)).size).toBe(10);
      // Frames are each one's own.
      const [first, second] = kernels;
      first?.frames.fill(1);
      expect(second?.frames.some((byte) => byte !== 1)).toBe(true);
      for (const kernel of [...kernels, ...alone]) kernel[Symbol.dispose]();
    },
  );

  test("however many there are, each holds a longest frame and all stay small", () => {
    for (const pageSize of pageSizes) {
      const [kernel] = codec.openKernels(pageSize, 256);
      const longest = frameHeaderSizeBytes + maxBlockSizeBytes(pageSize);
      expect(kernel?.frames.length).toBeGreaterThanOrEqual(longest);
      const share = Math.max(16 * 1024, longest);
      expect(kernel?.frames.length).toBeLessThanOrEqual(share + 1024);
    }
  });
});

test("both engines find the same content CRCs", () => {
  const found = engines.map((engine) => {
    using kernel = openCodec({ engine }).openKernel(512);
    encodeFrames(kernel, 9, 5);
    return kernel.contentCrcs.slice(0, 5);
  });
  expect(found[0]).toEqual(found[1]);
});
