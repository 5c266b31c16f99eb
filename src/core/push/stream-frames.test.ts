import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { concatBytes } from "../base/bytes.ts";
import {
  type StreamFrame,
  decodeFrames,
  encodeFrame,
  maxStreamedFileBytes,
  streamDurableLayout,
  streamFrameLayout,
  streamHeartbeatLayout,
  streamHelloLayout,
  streamResetLayout,
} from "./stream-frames.ts";

const hello: StreamFrame = {
  kind: "hello",
  heartbeatMs: 5000,
  headTxid: 7n,
  headChecksum: (1n << 63n) | 9n,
  durableTxid: 5n,
};

const whole: readonly StreamFrame[] = [
  hello,
  { kind: "file", bytes: Uint8Array.of(1, 2, 3) },
  { kind: "durable", txid: (1n << 64n) - 1n },
  { kind: "heartbeat", timeMs: 1_700_000_000_000 },
  { kind: "file", bytes: new Uint8Array(0) },
  { kind: "reset", headTxid: 8n, durableTxid: 7n },
];

function bytesOf(frames: readonly StreamFrame[]): Uint8Array {
  return concatBytes(frames.flatMap(encodeFrame));
}

async function* inChunks(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

function decode(bytes: Uint8Array, sizes: readonly number[] = [1 << 20]): Promise<StreamFrame[]> {
  return Array.fromAsync(decodeFrames(inChunks(bytes, sizes)));
}

describe("the frames of a stream", () => {
  it("come out as they went in, whatever pieces the body comes in", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, async (pieces) => {
        expect(await decode(bytesOf(whole), pieces)).toEqual(whole);
      }),
    );
    const ended = [hello, { kind: "end" } as const];
    expect(await decode(bytesOf(ended), [1])).toEqual(ended);
  });

  it("are refused when the body is cut off at any byte, and those before it are kept", async () => {
    const bytes = bytesOf(whole);
    const ends = whole.map((_, index) => bytesOf(whole.slice(0, index + 1)).length);
    for (let length = 0; length < bytes.length; length++) {
      const found: StreamFrame[] = [];
      const read = async (): Promise<void> => {
        for await (const frame of decodeFrames(inChunks(bytes.subarray(0, length), [7]))) {
          found.push(frame);
        }
      };
      await expect(read(), `cut at ${length}`).rejects.toMatchObject({ code: "push/stream" });
      expect(found).toEqual(whole.slice(0, ends.filter((end) => end <= length).length));
    }
  });

  it("end with the last one, whatever follows", async () => {
    const bytes = concatBytes([bytesOf(whole), Uint8Array.of(255, 255, 255)]);
    expect(await decode(bytes)).toEqual(whole);
  });

  it("of kinds that are not known are passed over", async () => {
    const unknown = Uint8Array.of(0, 0, 0, 2, 77, 1, 2);
    const bytes = concatBytes([bytesOf([hello]), unknown, bytesOf([{ kind: "end" }])]);
    expect(await decode(bytes)).toEqual([hello, { kind: "end" }]);
  });

  const tooLarge = new Uint8Array(5);
  new DataView(tooLarge.buffer).setUint32(0, maxStreamedFileBytes + 1);
  tooLarge[4] = 2;
  const otherMagic = bytesOf([hello]);
  otherMagic[5] = 0;
  it.each([
    ["no stream at all", new TextEncoder().encode("<!doctype html><title>Not found</title>")],
    ["another magic", otherMagic],
    ["a stream that begins with another frame", bytesOf(whole.slice(1))],
    ["a stream that begins twice", bytesOf([hello, hello])],
    ["a frame that is too large", concatBytes([bytesOf([hello]), tooLarge])],
    ["a frame of a wrong size", concatBytes([bytesOf([hello]), Uint8Array.of(0, 0, 0, 7, 3)])],
  ])("refuse %s", async (_, bytes) => {
    await expect(decode(bytes)).rejects.toMatchObject({ code: "push/stream" });
  });

  it("never hang or throw anything else when a byte is flipped", async () => {
    const bytes = bytesOf(whole);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] ?? 0) ^ 0x41;
      const code = await decode(flipped).then(
        () => "push/stream",
        (error: unknown) => (error instanceof Error && "code" in error ? error.code : error),
      );
      expect(code).toBe("push/stream");
    }
  });
});

const text = readFileSync(new URL("../../../docs/formats/stream.md", import.meta.url), "utf8");

test.each([
  ["streamFrameLayout", streamFrameLayout],
  ["streamHelloLayout", streamHelloLayout],
  ["streamDurableLayout", streamDurableLayout],
  ["streamHeartbeatLayout", streamHeartbeatLayout],
  ["streamResetLayout", streamResetLayout],
])("%s is the table in the documentation", (name, layout) => {
  const [, after = ""] = text.split(`<!-- layout: ${name} -->`);
  const [table = ""] = after.trimStart().split("\n\n");
  const rows = table.matchAll(/^\| *(?<offset>\d+) *\| *(?<size>\d+) *\| *(?<field>\w+) *\|/gmu);
  const documented = Array.from(rows, ([, offset, size, field]) => [
    field,
    [Number(offset), Number(size)],
  ]);
  expect(Object.fromEntries(documented)).toEqual(layout);
});
