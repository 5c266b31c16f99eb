// LZ4 frames: those of another implementation, every variant built by hand, and damage.
import * as fc from "fast-check";
import { compressFrameSync } from "lz4-napi";
import { describe, expect, test } from "vitest";
import { concatBytes, viewOf } from "../base/bytes.ts";
import { decodeLz4Frame } from "./lz4-frame.ts";
import { xxh32 } from "./xxh32.ts";

const page = new Uint8Array(4096).map((_, i) => (i % 90 < 60 ? 7 : i * 31));

describe("xxh32", () => {
  test.each([
    ["", 0x02cc_5d05],
    ["a", 0x550d_7456],
    ["abc", 0x32d1_53ff],
    ["Nobody inspects the spammish repetition", 0xe229_3b2f],
  ])("of %j is that of the specification", (text, expected) => {
    expect(xxh32(new TextEncoder().encode(text))).toBe(expected);
  });
});

/** Little-endian u32. */
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

interface FrameParts {
  readonly flags: number;
  readonly contentSize?: number;
  readonly blocks: readonly { readonly bytes: Uint8Array; readonly isStored: boolean }[];
  readonly content: Uint8Array;
}

/** A frame by hand; its flags say which checksums it carries. */
function buildFrame({ flags, contentSize, blocks, content }: FrameParts): Uint8Array {
  const size = contentSize === undefined ? [] : [word(contentSize), word(0)];
  const descriptor = concatBytes([Uint8Array.of(0x40 | flags, 0x40), ...size]);
  const body = blocks.flatMap(({ bytes, isStored }) => [
    word(isStored ? bytes.length + 0x8000_0000 : bytes.length),
    bytes,
    ...((flags & 0x10) === 0 ? [] : [word(xxh32(bytes))]),
  ]);
  return concatBytes([
    word(0x184d_2204),
    descriptor,
    Uint8Array.of(xxh32(descriptor) >>> 8),
    ...body,
    word(0),
    ...((flags & 4) === 0 ? [] : [word(xxh32(content))]),
  ]);
}

const half = page.subarray(0, 2048);
const stored = [
  { bytes: half, isStored: true },
  { bytes: page.subarray(2048), isStored: true },
];
/** One literal, then a match that reaches 2048 bytes back, into the block before; then five literals. */
const linkedBlock = Uint8Array.of(0x1f, 9, 0x00, 0x08, 20, 0x50, 1, 2, 3, 4, 5);
const linkedContent = concatBytes([
  half,
  Uint8Array.of(9),
  page.subarray(1, 40),
  Uint8Array.of(1, 2, 3, 4, 5),
]);

const frames: readonly (readonly [string, Uint8Array, Uint8Array])[] = [
  ["of lz4_flex", compressFrameSync(Buffer.from(page)), page],
  [
    "of lz4_flex with checksums",
    compressFrameSync(Buffer.from(page), { contentChecksum: true, blockChecksums: true }),
    page,
  ],
  ["of stored blocks", buildFrame({ flags: 0x20, blocks: stored, content: page }), page],
  [
    "with everything",
    buildFrame({ flags: 0x3c, contentSize: 4096, blocks: stored, content: page }),
    page,
  ],
  [
    "of linked blocks",
    buildFrame({
      flags: 0x04,
      blocks: [
        { bytes: half, isStored: true },
        { bytes: linkedBlock, isStored: false },
      ],
      content: linkedContent,
    }),
    linkedContent,
  ],
  [
    "of nothing",
    buildFrame({ flags: 0x20, blocks: [], content: new Uint8Array(0) }),
    new Uint8Array(0),
  ],
];

test.each(frames)("a frame %s is decoded, whatever follows it", (_, frame, content) => {
  const target = new Uint8Array(page.length);
  const result = decodeLz4Frame(concatBytes([frame, Uint8Array.of(1, 2, 3, 4, 5)]), target);
  expect(result).toEqual({
    kind: "done",
    sizeBytes: frame.length,
    contentSizeBytes: content.length,
  });
  expect(target.subarray(0, content.length)).toEqual(content);
});

test.each(frames)("a frame %s that is cut off is short at every length", (_, frame) => {
  const target = new Uint8Array(page.length);
  for (let length = 0; length < frame.length; length += 1 + Math.floor(length / 20)) {
    expect(decodeLz4Frame(frame.subarray(0, length), target)).toEqual({ kind: "short" });
  }
});

test.each<readonly [string, Uint8Array]>([
  ["no LZ4 frame magic", new Uint8Array(20)],
  ["unknown version", buildFrame({ flags: 0x40, blocks: [], content: page }).with(4, 0x80)],
  ["a reserved flag is set", buildFrame({ flags: 0x22, blocks: [], content: page })],
  ["it needs a dictionary", buildFrame({ flags: 0x21, blocks: [], content: page })],
  ["unknown block size", buildFrame({ flags: 0x20, blocks: [], content: page }).with(5, 0x30)],
  ["wrong header checksum", buildFrame({ flags: 0x20, blocks: [], content: page }).with(6, 0)],
  ["wrong block checksum", buildFrame({ flags: 0x30, blocks: stored, content: page }).with(20, 99)],
  ["wrong content checksum", buildFrame({ flags: 0x24, blocks: stored, content: half })],
  [
    "wrong content size",
    buildFrame({ flags: 0x28, contentSize: 9, blocks: stored, content: page }),
  ],
  [
    "it gives too many bytes",
    buildFrame({ flags: 0x20, blocks: [...stored, ...stored], content: page }),
  ],
  [
    "a block cannot be decoded",
    // Independent blocks must not reach into each other.
    buildFrame({
      flags: 0x20,
      blocks: [
        { bytes: half, isStored: true },
        { bytes: linkedBlock, isStored: false },
      ],
      content: linkedContent,
    }),
  ],
])("a frame is refused: %s", (reason, frame) => {
  expect(decodeLz4Frame(frame, new Uint8Array(page.length))).toEqual({ kind: "corrupt", reason });
});

test("mutated frames never break anything", () => {
  const sound = compressFrameSync(Buffer.from(page), { contentChecksum: true });
  fc.assert(
    fc.property(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const frame = Uint8Array.from(sound);
      frame[at] = (frame[at] ?? 0) ^ flip;
      const target = new Uint8Array(page.length);
      const result = decodeLz4Frame(frame, target);
      expect(result.kind === "done" ? target : page).toEqual(page);
    }),
    { numRuns: 1000 },
  );
});
