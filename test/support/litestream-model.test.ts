import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/core/base/bytes.ts";
import { litestreamTakeOver, readLitestreamFiles } from "./litestream-model.ts";
import type { LitestreamFile } from "./litestream-model.ts";
import { databaseStates, historyOf } from "./sqlite-history.ts";
import { temporaryDirectory } from "./temporary.ts";

const pageSize = 512;
const frameBytes = 24 + pageSize;
const salts = { old: [1, 2], present: [3, 4], third: [5, 6] } as const;

/** A WAL with one frame per element; the salts of the element, page number = its place, page filled with it. */
function walOf(header: keyof typeof salts, frames: readonly (keyof typeof salts)[]): Uint8Array {
  const wal = new Uint8Array(32 + frames.length * frameBytes);
  const view = viewOf(wal);
  const setSalts = (at: number, which: keyof typeof salts): void => {
    view.setUint32(at, salts[which][0]);
    view.setUint32(at + 4, salts[which][1]);
  };
  setSalts(16, header);
  frames.forEach((which, index) => {
    const at = 32 + index * frameBytes;
    view.setUint32(at, index + 1);
    setSalts(at + 8, which);
    wal.fill(index + 1, at + 24, at + frameBytes);
  });
  return wal;
}

/** A level-0 file of TXID 7 that says it holds frames `from` to `to` (counted from 1) of the old WAL. */
function fileOf(from: number, to: number, changes: Partial<LitestreamFile> = {}): LitestreamFile {
  const pages = new Map<number, Uint8Array>();
  for (let pgno = from; pgno <= to; pgno++) pages.set(pgno, new Uint8Array(pageSize).fill(pgno));
  return {
    level: 0,
    minTxid: 7n,
    maxTxid: 7n,
    pageSize,
    walOffset: BigInt(32 + (from - 1) * frameBytes),
    walSize: BigInt((to - from + 1) * frameBytes),
    walSalt1: salts.old[0],
    walSalt2: salts.old[1],
    pages,
    ...changes,
  };
}

const ours = fileOf(1, 0, { walSalt1: 0, walSalt2: 0 });

describe("a replica with our fixed WAL fields", () => {
  const wals = {
    "no WAL": new Uint8Array(),
    "a WAL with a header only": walOf("old", []),
    "a WAL with frames": walOf("old", ["old", "old"]),
    "a restarted WAL": walOf("present", ["present", "old"]),
  };
  it.for(Object.entries(wals))("gets a full image after the head with %s", ([, wal]) => {
    expect(litestreamTakeOver([ours], wal)).toMatchObject({ kind: "full", txid: 8n });
  });

  it("gets it when merged files and snapshots lie beside the newest level-0 file", () => {
    const files = [ours, { ...ours, level: 1, minTxid: 1n }, { ...ours, level: 9, minTxid: 1n }];
    expect(litestreamTakeOver(files, walOf("old", ["old"]))).toMatchObject({
      kind: "full",
      txid: 8n,
    });
  });
});

it("reads the files of a replica on disk", async () => {
  using directory = temporaryDirectory();
  const states = databaseStates(pageSize);
  await historyOf(states, pageSize).writeLevel0(directory.path);
  const files = readLitestreamFiles(directory.path);
  expect(files.map(({ level, maxTxid }) => [level, maxTxid])).toEqual(
    [1n, 2n, 3n, 4n].map((txid) => [0, txid]),
  );
  expect(litestreamTakeOver(files, walOf("old", ["old"]))).toMatchObject({
    kind: "full",
    txid: 5n,
  });
});

describe("another program's replica", () => {
  const wal = walOf("old", ["old", "old", "old"]);

  it("is continued where its last frame still stands", () => {
    expect(litestreamTakeOver([fileOf(2, 2)], wal)).toMatchObject({
      kind: "incremental",
      txid: 8n,
      fromOffset: 32 + 2 * frameBytes,
    });
  });

  it("is continued from the start of a WAL that was restarted once, whatever lay beyond the end", () => {
    const restarted = walOf("present", ["present", "old", "old"]);
    expect(litestreamTakeOver([fileOf(2, 2)], restarted)).toMatchObject({
      kind: "incremental",
      fromOffset: 32,
    });
  });

  it("gets a full image when a third generation shows, or the WAL is shorter than the end", () => {
    const twice = walOf("present", ["third", "old"]);
    expect(litestreamTakeOver([fileOf(2, 2)], twice)).toMatchObject({ kind: "full" });
    expect(litestreamTakeOver([fileOf(2, 2)], walOf("old", ["old"]))).toMatchObject({
      kind: "full",
    });
    expect(litestreamTakeOver([fileOf(1, 1)], walOf("present", ["present"]))).toMatchObject({
      kind: "full",
    });
    expect(litestreamTakeOver([], wal)).toMatchObject({ kind: "full", txid: 1n });
  });

  it("is continued from the header or the only frame while the salts stand", () => {
    expect(litestreamTakeOver([fileOf(1, 0)], wal)).toMatchObject({
      kind: "incremental",
      fromOffset: 32,
    });
    expect(litestreamTakeOver([fileOf(1, 1)], wal)).toMatchObject({ kind: "incremental" });
  });

  it("loses commits when its last frame was overwritten, by other salts or other bytes", () => {
    const overwritten = walOf("present", ["present", "present", "old"]);
    expect(litestreamTakeOver([fileOf(2, 2)], overwritten)).toMatchObject({ kind: "lossy" });
    const other = fileOf(2, 2, { pages: new Map([[2, new Uint8Array(pageSize)]]) });
    expect(litestreamTakeOver([other], wal)).toMatchObject({ kind: "lossy" });
  });

  it("is numbered anew, over its history, when the head is in a merged level only", () => {
    const level0 = fileOf(1, 0, { minTxid: 6n, maxTxid: 6n });
    for (const files of [[{ ...ours, level: 1 }], [{ ...ours, level: 9, minTxid: 1n }, level0]])
      expect(litestreamTakeOver(files, wal)).toMatchObject({ kind: "lossy" });
  });

  it("wedges it with zero fields or a wide level-0 file", () => {
    const zero = { ...ours, walOffset: 0n, walSize: 0n };
    expect(litestreamTakeOver([zero], wal)).toMatchObject({ kind: "wedge" });
    expect(litestreamTakeOver([{ ...ours, minTxid: 5n }], wal)).toMatchObject({ kind: "wedge" });
  });
});
