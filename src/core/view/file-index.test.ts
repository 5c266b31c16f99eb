import { describe, expect, it } from "vitest";
import { ltxHeader } from "../../../test/support/ltx.ts";
import { ViewReplica, keyOf } from "../../../test/support/view-replica.ts";
import { concatBytes } from "../base/bytes.ts";
import { openCodec } from "../codec/codec.ts";
import { encodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import { type PageIndexEntry, PageIndexWriter } from "../ltx/page-index.ts";
import { encodeTrailer } from "../ltx/trailer.ts";
import { toTxid } from "../ltx/txid.ts";
import { listReplica } from "../replica/catalog.ts";
import { litestreamLayout } from "../replica/layout.ts";
import { readFileIndex } from "./file-index.ts";
import type { FileInside, ViewFile } from "./file-table.ts";

const range = { level: 9, min: 1, max: 1 };
const txids = { minTxid: toTxid(1), maxTxid: toTxid(1) };

/** A file of frames of so many bytes, all of them zeros: nothing but header, index and trailer is read. */
async function fileOf(
  frameBytes: readonly number[],
  { commit = frameBytes.length, first = 1, minTxid = toTxid(1), pageSize = 512 } = {},
): Promise<{ readonly replica: ViewReplica; readonly file: ViewFile }> {
  const index = new PageIndexWriter();
  let offset = ltxHeaderSizeBytes;
  for (const [n, sizeBytes] of frameBytes.entries()) {
    index.add(first + n, offset, sizeBytes);
    offset += sizeBytes;
  }
  const header = ltxHeader({ pageSize, commit, ...txids, minTxid });
  const bytes = concatBytes([
    encodeHeader(header),
    new Uint8Array(offset - ltxHeaderSizeBytes + 6),
    index.finish(),
    encodeTrailer({ postApplyChecksum: 0n, fileChecksum: 2n ** 63n + 77n }),
  ]);
  const replica = new ViewReplica();
  await replica.put({ ...range, min: Number(minTxid) }, bytes);
  const [file] = await listReplica(replica.inner, litestreamLayout, {});
  if (file === undefined) throw new Error("no file");
  return { replica, file };
}

function same(count: number, sizeBytes: number): readonly number[] {
  return Array.from({ length: count }, () => sizeBytes);
}

const codec = openCodec();
const anySize = { codec, pageSize: undefined };

describe("readFileIndex", () => {
  it("takes two reads of a large file whose pages are of the usual size", async () => {
    const { replica, file } = await fileOf(same(30_000, 2900), { pageSize: 4096 });
    const { index, head, fileChecksum, start } = await readFileIndex(replica.store, file, anySize);
    expect(replica.takeGets().length).toBe(2);
    expect(index.count).toBe(30_000);
    expect(index.at(7)).toEqual<PageIndexEntry>({
      pgno: 8,
      offset: 100 + 7 * 2900,
      sizeBytes: 2900,
    });
    expect(head).toMatchObject({ commit: 30_000, pageSize: 4096 });
    expect(fileChecksum).toEqual(2n ** 63n + 77n);
    // Of a full image, whose first pages everybody wants.
    expect(start.length).toBe(32 * 1024);
  });

  it("takes one where a manifest tells what the header says", async () => {
    const { replica, file } = await fileOf(same(30_000, 900));
    const inside: FileInside = {
      pageSize: 512,
      commit: 30_000,
      timestampMs: 5,
      indexSizeBytes: 9 * 30_000,
    };
    const { index, head } = await readFileIndex(replica.store, { ...file, inside }, anySize);
    expect(replica.takeGets().length).toBe(1);
    expect(index.count).toBe(30_000);
    expect(head.timestampMs).toBe(5);
  });

  it("takes one for a small file, all of it", async () => {
    const { replica, file } = await fileOf(same(20, 900));
    const { start } = await readFileIndex(replica.store, file, anySize);
    expect(replica.takeGets().length).toBe(1);
    expect(start.length).toBe(file.sizeBytes);
  });

  it("takes one more where the index is larger than expected: tiny frames", async () => {
    const { replica, file } = await fileOf(same(30_000, 12));
    const { index } = await readFileIndex(replica.store, file, anySize);
    expect(replica.takeGets().length).toBe(3);
    expect(index.count).toBe(30_000);
  });

  it("refuses an index that is longer than the database can have, before reading it", async () => {
    const { replica, file } = await fileOf(same(30_000, 12), { commit: 100 });
    await expect(readFileIndex(replica.store, file, anySize)).rejects.toMatchObject({
      code: "ltx/invalid",
    });
    expect(replica.takeGets().length).toBe(2);
  });

  it("refuses pages beyond the end, frames that cannot be, and an image with a hole", async () => {
    for (const [frames, more, code] of [
      [same(3, 90), { first: 3, commit: 4, minTxid: toTxid(1) }, "ltx/invalid"],
      [[90, 0, 90], {}, "ltx/invalid"],
      [[90, 5000, 90], {}, "ltx/invalid"],
      [same(3, 90), { commit: 4 }, "ltx/order"],
    ] as const) {
      const { replica, file } = await fileOf(frames, more);
      await expect(readFileIndex(replica.store, file, anySize)).rejects.toMatchObject({ code });
    }
  });

  it("refuses another page size than the database has", async () => {
    const { replica, file } = await fileOf(same(3, 90));
    await expect(
      readFileIndex(replica.store, file, { codec, pageSize: 4096 }),
    ).rejects.toMatchObject({
      code: "replica/foreign-file",
    });
  });

  it("tells a file that is gone, or is another by now, from one that is damaged", async () => {
    const { replica, file } = await fileOf(same(3, 90));
    const other = { ...file, etag: "other" };
    await expect(readFileIndex(replica.store, other, anySize)).rejects.toMatchObject({
      code: "store/changed",
    });
    await replica.delete(range);
    const error: unknown = await readFileIndex(replica.store, file, anySize).catch(String);
    expect(error).toContain(keyOf(range));
    await expect(readFileIndex(replica.store, file, anySize)).rejects.toMatchObject({
      code: "store/changed",
    });
  });
});
