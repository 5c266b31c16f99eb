// LZ4 frames from a stream: in pieces of any size, larger than a block, and damaged.
import * as fc from "fast-check";
import { compressFrameSync } from "lz4-napi";
import { describe, expect, it } from "vitest";
import { concatBytes } from "../base/bytes.ts";
import { decodeLz4Stream } from "./lz4-stream.ts";
import { Xxh32, xxh32 } from "./xxh32.ts";

const content = new Uint8Array(300_000).map((_, i) => (i % 90 < 60 ? 7 : i * 31 + (i >> 9)));
const checksums = { contentChecksum: true, blockChecksums: true };
const frame = compressFrameSync(Buffer.from(content), checksums);

function fail(reason: string): Error {
  return new Error(reason);
}

async function decode(bytes: Uint8Array, pieceBytes = 10_000): Promise<Uint8Array> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
  }
  const parts: Uint8Array[] = [];
  for await (const part of decodeLz4Stream(pieces(), { fail })) parts.push(part.slice());
  return concatBytes(parts);
}

/** Little-endian u32. */
function word(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

/** A frame of 64 KiB blocks that may refer to each other. */
function linkedFrame(blocks: readonly (readonly [Uint8Array, boolean])[]): Uint8Array {
  const descriptor = Uint8Array.of(0x40, 0x40);
  return concatBytes([
    word(0x184d_2204),
    descriptor,
    Uint8Array.of(xxh32(descriptor) >>> 8),
    ...blocks.flatMap(([bytes, isStored]) => [
      word(bytes.length + (isStored ? 0x8000_0000 : 0)),
      bytes,
    ]),
    word(0),
  ]);
}

describe("decodeLz4Stream", () => {
  it.each([1, 7, 4096, 1_000_000])("decodes a frame in pieces of %d bytes", async (pieceBytes) => {
    expect(Buffer.compare(await decode(frame, pieceBytes), content)).toBe(0);
  });

  it("decodes blocks that refer to the 64 KiB before them, over several blocks", async () => {
    const [first, second] = [content.subarray(0, 65536), content.subarray(65536, 65546)];
    // One literal, a match of 4 bytes 65535 back (the second byte of all), five literals.
    const linked = Uint8Array.of(0x10, 9, 0xff, 0xff, 0x50, 1, 2, 3, 4, 5);
    const bytes = linkedFrame([
      [first, true],
      [second, true],
      [linked, false],
    ]);
    // 10 bytes and the literal lie between: the match starts at byte 12.
    const tail = [9, ...content.subarray(12, 16), 1, 2, 3, 4, 5];
    expect(await decode(bytes)).toEqual(concatBytes([first, second, Uint8Array.from(tail)]));
    const tooFar = linkedFrame([
      [second, true],
      [linked, false],
    ]);
    await expect(decode(tooFar)).rejects.toThrow("a block cannot be decoded");
  });

  it("decodes frames one after the other, and an empty one", async () => {
    const empty = compressFrameSync(Buffer.alloc(0));
    expect(await decode(empty)).toHaveLength(0);
    expect(await decode(concatBytes([frame, empty, frame]))).toHaveLength(2 * content.length);
  });

  it("refuses what is cut off, anywhere, and what is no frame", async () => {
    for (let length = 0; length < frame.length; length += 997) {
      await expect(decode(frame.subarray(0, length))).rejects.toThrow("it is cut off");
    }
    await expect(decode(concatBytes([frame, content.subarray(0, 20)]))).rejects.toThrow("no LZ4");
    await expect(decode(frame.with(4, 0x80))).rejects.toThrow("unknown version");
  });

  it("notices every flipped byte", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(frame.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const damaged = frame.with(at, (frame[at] ?? 0) ^ flip);
          const failure: unknown = await decode(damaged).catch((error: unknown) => error);
          expect(failure).toBeInstanceOf(Error);
        },
      ),
      { numRuns: 200 },
    );
  });
});

it("hashes bytes in pieces as it hashes them whole", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.array(fc.nat(20)), (bytes, lengths) => {
      const sum = new Xxh32();
      let at = 0;
      for (const length of [...lengths, bytes.length]) {
        sum.add(bytes.subarray(at, at + length));
        at += length;
      }
      expect(sum.hash).toBe(xxh32(bytes));
    }),
  );
});
