// Frames out of the bytes of one read, as they lie in files that our encoder wrote.
import { beforeAll, describe, expect, it } from "vitest";
import { encodeWhole, ltxHeader } from "../../../test/support/ltx.ts";
import { must } from "../base/assert.ts";
import { openCodec } from "../codec/codec.ts";
import { readPageIndex } from "../ltx/page-index.ts";
import { toTxid } from "../ltx/txid.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import type { DamagedFrame } from "./frame-decoder.ts";
import { FileProof } from "./page-proofs.ts";
import type { WantedFrame } from "./request-plan.ts";

const codec = openCodec();
const pageSize = 512;
const pageCount = 300;
const name = "file";

let bytes: Uint8Array;
let frames: readonly WantedFrame[];
let checksums: BigUint64Array;

beforeAll(async () => {
  const pages = Array.from({ length: pageCount }, (_, n) => [n + 1, pageOf(n + 1)] as const);
  const txids = { minTxid: toTxid(1), maxTxid: toTxid(1) };
  const header = ltxHeader({ pageSize, commit: pageCount, ...txids });
  bytes = await encodeWhole(codec, header, new Map(pages));
  const index = readPageIndex(codec, bytes, { name, fileSizeBytes: bytes.length });
  const entries = index.kind === "index" ? [...index.index] : [];
  frames = entries.map(({ pgno, offset, sizeBytes }) => ({
    pgno,
    frame: { file: 0, offset, sizeBytes },
  }));
  using kernel = codec.openKernel(pageSize);
  checksums = BigUint64Array.from(pages, ([pgno, page]) => {
    kernel.pgnos[0] = pgno;
    kernel.pages.set(page);
    kernel.checksumPages(1);
    return kernel.checksums[0] ?? 0n;
  });
});

function pageOf(pgno: number): Uint8Array {
  return new Uint8Array(pageSize).map((_, at) => (at * pgno) % (7 + (pgno % 90)));
}

interface Decoded {
  readonly taken: number[];
  readonly damaged: readonly DamagedFrame<WantedFrame>[];
}

/** Holds what is taken to what was written. */
function decode(
  wanted: readonly WantedFrame[],
  { from = bytes, offset = 0, proof }: Partial<DecodeArguments> = {},
): Decoded {
  using decoder = new FrameDecoder(codec, pageSize);
  const taken: number[] = [];
  const take = ({ pgno }: WantedFrame, page: Uint8Array): void => {
    expect(page).toEqual(pageOf(pgno));
    taken.push(pgno);
  };
  const damaged = decoder.decode(wanted, { name, offset, bytes: from }, { proof, take });
  return { taken, damaged };
}

interface DecodeArguments {
  readonly from: Uint8Array;
  readonly offset: number;
  readonly proof: FileProof;
}

function numbersOf(wanted: readonly { readonly pgno: number }[]): readonly number[] {
  return wanted.map(({ pgno }) => pgno);
}

/** The file with one byte of a page's frame changed. */
function withFlip(pgno: number, at: number): Uint8Array {
  const { offset } = must(frames[pgno - 1], "frame").frame;
  const changed = bytes.slice();
  changed[offset + at] = (changed[offset + at] ?? 0) ^ 0xff;
  return changed;
}

describe("FrameDecoder", () => {
  it("gives every page, in runs of any length, with gaps, from any place in the file", () => {
    expect(decode(frames).taken).toEqual(numbersOf(frames));
    for (const every of [2, 3, 70]) {
      const some = frames.filter((_, index) => index % every !== 0);
      const offset = must(some[0], "frame").frame.offset;
      expect(decode(some, { from: bytes.slice(offset), offset }).taken).toEqual(numbersOf(some));
    }
  });

  it("gives all but the frames that are damaged, wherever they stand", () => {
    for (const pgno of [1, 64, 65, pageCount]) {
      // The page number, the flags, the size, the block.
      for (const at of [3, 5, 9, 10]) {
        const { taken, damaged } = decode(frames, { from: withFlip(pgno, at) });
        expect(damaged.map(({ one }) => one.pgno)).toEqual([pgno]);
        expect(taken).toEqual(numbersOf(frames).filter((one) => one !== pgno));
      }
    }
  });

  it("holds pages to their checksums", () => {
    const pgnos = Uint32Array.from(numbersOf(frames));
    expect(decode(frames, { proof: new FileProof(pgnos, checksums) }).damaged).toEqual([]);
    const wrong = checksums.slice();
    wrong[99] = 1n;
    const { taken, damaged } = decode(frames, { proof: new FileProof(pgnos, wrong) });
    expect(damaged.map(({ one }) => one.pgno)).toEqual([100]);
    expect(String(damaged[0]?.cause)).toContain("checksum");
    expect(taken.length).toBe(pageCount - 1);
  });

  it("refuses a frame that is cut off or lies elsewhere", () => {
    const { offset, sizeBytes } = must(frames[9], "frame").frame;
    const wanted = frames.slice(8, 10);
    const cut = decode(wanted, { from: bytes.subarray(0, offset + sizeBytes - 1) });
    expect(numbersOf(cut.damaged.map(({ one }) => one))).toEqual([10]);
    expect(cut.taken).toEqual([9]);
    const other = { pgno: 11, frame: { file: 0, offset, sizeBytes } };
    expect(decode([other]).damaged.length).toBe(1);
  });
});
