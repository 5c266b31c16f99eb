// A damaged file never passes: every flipped byte, every truncation and every broken rule is found and named.
import * as fc from "fast-check";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readGoldenSet } from "../../../test/support/golden.ts";
import type { WholeLtx } from "../../../test/support/ltx.ts";
import {
  chunked,
  collect,
  decodeWhole,
  encodeWhole,
  ltxHeader,
} from "../../../test/support/ltx.ts";
import type { Parts } from "../../../test/support/ltx-parts.ts";
import {
  assemble,
  frame,
  indexOf,
  literalBlock,
  oldFrame,
  partPageSize,
  parts,
  samplePage,
} from "../../../test/support/ltx-parts.ts";
import { concatBytes } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { openCodec } from "../codec/codec.ts";
import { openLtx } from "./decoder.ts";
import { LtxEncoder, encodeLtx } from "./encoder.ts";
import type { LtxHeader } from "./header.ts";
import { checksumFlag, ltxHeaderLayout, ltxHeaderSizeBytes } from "./header.ts";
import { checksumPages, PageChecksums } from "./page-checksums.ts";
import { toTxid } from "./txid.ts";

const codec = openCodec();
const pageSize = partPageSize;

const pageByPgno = new Map([1, 2, 4].map((pgno) => [pgno, samplePage(pgno)]));
const sound = await encodeWhole(
  codec,
  ltxHeader({ pageSize, commit: 4, proof: { before: checksumFlag, after: checksumFlag | 1n } }),
  pageByPgno,
);

/** What reading `bytes` gives: its content, or the code of the error, which must name the file. */
async function outcome(bytes: Uint8Array, chunkSize?: number): Promise<WholeLtx | string> {
  try {
    return await decodeWhole(codec, bytes, { name: "x.ltx", chunkSize });
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    return /^x\.ltx, byte \d+: /u.test(error.message) ? error.code : error.message;
  }
}

describe("bytes", () => {
  test("every flipped byte is found, or changes nothing that is read", async () => {
    const before = await outcome(sound);
    for (let at = 0; at < sound.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const bytes = sound.slice();
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        const after = await outcome(bytes);
        // Two blocks can decode to the same page: then nothing is lost.
        expect(typeof after === "string" ? before : after, `byte ${at}`).toEqual(before);
      }
    }
  });

  test("every truncation is reported as such", async () => {
    for (let length = 0; length < sound.length; length++) {
      expect(await outcome(sound.subarray(0, length)), `length ${length}`).toBe("ltx/short");
    }
  });

  test("no flipped byte of a file in the old format passes", async () => {
    const set = readGoldenSet("daemon-legacy-0.5.0");
    const file = set.files.toSorted((a, b) => a.sizeBytes - b.sizeBytes)[0];
    const old = Uint8Array.from(readFileSync(join(set.path, file?.path ?? "")));
    const before = await outcome(old);
    for (let at = 0; at < old.length; at++) {
      const after = await outcome(old.with(at, (old[at] ?? 0) ^ 0x10));
      expect(typeof after === "string" ? before : after, `byte ${at}`).toEqual(before);
    }
  });

  test("noise is refused however it is cut into chunks", async () => {
    const flips = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1 });
    const before = await outcome(sound);
    await fc.assert(
      fc.asyncProperty(flips, fc.integer({ min: 1, max: 400 }), async (changes, chunkSize) => {
        const bytes = sound.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const after = await outcome(bytes, chunkSize);
        expect(typeof after === "string" ? before : after).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  test("bytes after the trailer are refused", async () => {
    expect(await outcome(concatBytes([sound, Uint8Array.of(0)]))).toBe("ltx/invalid");
  });
});

const snapshot = { minTxid: toTxid(1), maxTxid: toTxid(1) };

describe("rules", () => {
  test("a file put together by hand is accepted", async () => {
    const whole = await outcome(assemble(parts([frame(1), frame(2), frame(4)])));
    expect(whole).toMatchObject({ pageByPgno });
  });

  test("frames of both formats may follow each other", async () => {
    for (const mixed of [
      [oldFrame(1), frame(2), oldFrame(4)],
      [frame(1), oldFrame(2), frame(4)],
    ]) {
      expect(await outcome(assemble(parts(mixed)), 100)).toMatchObject({ pageByPgno });
    }
  });

  test.each<readonly [string, string, Parts]>([
    ["pages that descend", "ltx/order", parts([frame(2), frame(1)])],
    ["a page given twice", "ltx/order", parts([frame(2), frame(2)])],
    ["a page beyond commit", "ltx/order", parts([frame(5)])],
    ["a snapshot without page 1", "ltx/order", parts([frame(2)], snapshot)],
    ["a snapshot with a hole", "ltx/order", parts([frame(1), frame(3)], snapshot)],
    [
      "a snapshot that ends early",
      "ltx/order",
      parts(
        [1, 2, 3].map((n) => frame(n)),
        snapshot,
      ),
    ],
    ["unknown page flags", "ltx/invalid", parts([frame(1, { flags: 3 })])],
    ["page number 0", "ltx/invalid", parts([frame(0)])],
    ["an empty block", "ltx/invalid", parts([frame(1, { body: new Uint8Array(0) })])],
    [
      "a block that is far too long",
      "ltx/invalid",
      parts([frame(1, { body: new Uint8Array(2 * pageSize + 65) })]),
    ],
    [
      "a block of half a page",
      "ltx/invalid",
      parts([frame(1, { body: literalBlock(samplePage(1).subarray(256)) })]),
    ],
    [
      "a block of two pages",
      "ltx/invalid",
      parts([frame(1, { body: literalBlock(new Uint8Array(1024)) })]),
    ],
    [
      "an index without a page",
      "ltx/invalid",
      { ...parts([frame(1), frame(2)]), index: indexOf([frame(1)]) },
    ],
    [
      "an index with a page too many",
      "ltx/invalid",
      { ...parts([frame(1)]), index: indexOf([frame(1), frame(2)]) },
    ],
    [
      "an index with wrong sizes",
      "ltx/invalid",
      { ...parts([frame(1)]), index: indexOf([frame(1, { body: new Uint8Array(9) })]) },
    ],
    [
      "a post-apply checksum where there are none",
      "ltx/invalid",
      { ...parts([frame(1)]), postApplyChecksum: checksumFlag },
    ],
  ])("%s: %s", async (_, code, broken) => {
    expect(await outcome(assemble(broken))).toBe(code);
  });

  test("a wrong file checksum is reported as such", async () => {
    const bytes = assemble(parts([frame(1)]));
    const at = bytes.length - 1;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    expect(await outcome(bytes)).toBe("ltx/checksum");
  });
});

/** Fields of a snapshot of page 1 that is said to leave `after`. */
function provedSnapshot(after: bigint): Partial<LtxHeader> {
  return { ...snapshot, commit: 1, proof: { before: checksumFlag, after } };
}

describe("the proof of a snapshot", () => {
  const right = new PageChecksums(pageSize);
  const single = new BigUint64Array(1);
  checksumPages(codec, pageSize, Uint32Array.of(1), 0, 1, samplePage(1), single);
  right.setMany(Uint32Array.of(1), 0, 1, single);

  test("agrees with its pages", async () => {
    const header = provedSnapshot(right.databaseChecksum);
    expect(await outcome(assemble(parts([frame(1)], header)))).toMatchObject({ header });
  });

  test("is refused if it names another database, by reader and writer", async () => {
    const header = provedSnapshot(right.databaseChecksum ^ 1n);
    expect(await outcome(assemble(parts([frame(1)], header)))).toBe("ltx/checksum");
    const bytes = encodeWhole(
      codec,
      ltxHeader({ pageSize, ...header }),
      new Map([[1, samplePage(1)]]),
    );
    await expect(bytes).rejects.toMatchObject({ code: "ltx/checksum" });
  });
});

describe("files with checksums of the database", () => {
  const checked = { noChecksum: false, preApplyChecksum: checksumFlag | 7n };

  test("are read", async () => {
    const file = { ...parts([frame(1)], checked), postApplyChecksum: checksumFlag | 8n };
    expect(await outcome(assemble(file))).toMatchObject({
      header: checked,
      trailer: { postApplyChecksum: checksumFlag | 8n },
    });
  });

  test("need a post-apply checksum with bit 63", async () => {
    const file = { ...parts([frame(1)], checked), postApplyChecksum: 8n };
    expect(await outcome(assemble(file))).toBe("ltx/invalid");
  });

  test("must agree with the pages of a snapshot", async () => {
    const header = ltxHeader({ pageSize, noChecksum: false, ...snapshot });
    using encoder = new LtxEncoder(codec, header);
    const head = encoder.encodePages(Uint32Array.of(1), 0, 1, samplePage(1)).slice();
    const { pagesChecksum } = encoder;
    const good = concatBytes([head, encoder.finish(pagesChecksum)]);
    expect(await outcome(good)).toMatchObject({ trailer: { postApplyChecksum: pagesChecksum } });
    const bad = { ...parts([frame(1)], { ...header }), postApplyChecksum: pagesChecksum ^ 1n };
    expect(await outcome(assemble(bad))).toBe("ltx/checksum");
  });

  test("can leave an empty database, whose checksum is that of no pages", async () => {
    const header = { ...checked, commit: 0 };
    const good = { ...parts([], header), postApplyChecksum: checksumFlag };
    expect(await outcome(assemble(good))).toMatchObject({ header });
    const bad = { ...parts([], header), postApplyChecksum: checksumFlag | 1n };
    expect(await outcome(assemble(bad))).toBe("ltx/invalid");
  });
});

/** A file of pages nobody filled. */
function encode(pgnos: number[], header: Partial<LtxHeader>): Promise<Uint8Array> {
  const numbers = Uint32Array.from(pgnos);
  const whole = ltxHeader({ pageSize, commit: 4, ...header });
  return collect(encodeLtx(codec, whole, numbers, (_, __, ___, into) => void into.fill(1)));
}

describe("the encoder", () => {
  test.each<readonly [string, number[], Partial<LtxHeader>]>([
    ["pages that descend", [2, 1], {}],
    ["a page given twice", [2, 2], {}],
    ["a page beyond commit", [5], {}],
    ["page 0", [0], {}],
    ["a snapshot without page 1", [2, 3, 4], snapshot],
    ["a snapshot that ends early", [1, 2, 3], snapshot],
  ])("refuses %s", async (_, pgnos, header) => {
    await expect(encode(pgnos, header)).rejects.toMatchObject({ code: "ltx/order" });
  });

  test("refuses a wrong post-apply checksum", () => {
    const encoder = new LtxEncoder(codec, ltxHeader({ pageSize }));
    expect(() => encoder.finish(checksumFlag)).toThrow(
      expect.objectContaining({ code: "ltx/invalid" }),
    );
  });

  test("puts the header in front of the first pages", async () => {
    using encoder = new LtxEncoder(codec, ltxHeader({ pageSize }));
    const first = encoder.encodePages(Uint32Array.of(1), 0, 1, samplePage(1));
    expect(first.subarray(0, 4)).toEqual(new TextEncoder().encode("LTX1"));
    expect(encoder.sizeBytes).toBe(first.length);
  });
});

describe("reading", () => {
  test("ends the source when it is abandoned, disposed or fails", async () => {
    let ended = 0;
    async function* source(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      try {
        yield* chunked(bytes, 300);
      } finally {
        ended++;
      }
    }
    await using unread = await openLtx(codec, source(sound), { name: "x.ltx" });
    const abandoned = await openLtx(codec, source(sound), { name: "x.ltx" });
    for await (const batch of abandoned.pages()) {
      if (batch.count > 0) break;
    }
    expect(ended).toBe(1);
    await unread[Symbol.asyncDispose]();
    expect(ended).toBe(2);
    await expect(openLtx(codec, source(new Uint8Array(400)), { name: "x.ltx" })).rejects.toThrow(
      "LTX1",
    );
    expect(ended).toBe(3);
  });

  test("stops when aborted", async () => {
    const controller = new AbortController();
    const reader = await openLtx(codec, chunked(sound, 150), {
      name: "x",
      signal: controller.signal,
    });
    controller.abort(new Error("enough"));
    await expect(Array.fromAsync(reader.pages())).rejects.toThrow("enough");
  });
});

test("every offset in the header table lies behind the one before, up to byte 100", () => {
  let end = 0;
  for (const [offset, size] of Object.values(ltxHeaderLayout)) {
    expect(offset).toBe(end);
    end = offset + size;
  }
  expect(end).toBe(ltxHeaderSizeBytes);
});
