import { beforeEach, describe, expect, it } from "vitest";
import { MemoryViews } from "../../../test/support/memory-views.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { lockPgno } from "../base/page.ts";
import { decodeDatabaseHeader } from "../sqlite/database-header.ts";
import { PageReader } from "./page-reader.ts";

const pageSize = 4096;
const states = databaseStates(pageSize).map((state) => Uint8Array.from(state));

let views: MemoryViews;
let reader: PageReader;
beforeEach(() => {
  views = new MemoryViews(states, pageSize);
  views.newest = 1;
  reader = new PageReader(views);
});

function read(offset: number, length: number): Uint8Array {
  const into = new Uint8Array(length).fill(0xee);
  reader.read(offset, into);
  return into;
}

function header(): ReturnType<typeof decodeDatabaseHeader> {
  return decodeDatabaseHeader(read(0, 100));
}

describe("PageReader", () => {
  it("reads any range as the file has it, but for the header", () => {
    const file = states[1] ?? new Uint8Array(0);
    expect(read(100, 3 * pageSize)).toEqual(file.slice(100, 100 + 3 * pageSize));
    expect(read(5 * pageSize, pageSize)).toEqual(file.slice(5 * pageSize, 6 * pageSize));
    expect(read(5 * pageSize + 7, 5)).toEqual(file.slice(5 * pageSize + 7, 5 * pageSize + 12));
    expect(reader.sizeBytes()).toBe(file.length);
  });

  it("gives zeros beyond the end and says so", () => {
    const into = new Uint8Array(16).fill(1);
    expect(reader.read(reader.sizeBytes() - 8, into)).toBe(false);
    expect(into.subarray(8)).toEqual(new Uint8Array(8));
    expect(reader.read(reader.sizeBytes() + 8, into)).toBe(false);
    expect(into).toEqual(new Uint8Array(16));
  });

  it("shows a rollback-mode header with the view's size and generation", () => {
    const shown = header();
    expect(shown).toMatchObject({ writeVersion: 1, readVersion: 1, changeCounter: 2 });
    expect(shown.versionValidFor).toBe(2);
    expect(shown.pageCount).toBe((states[1]?.length ?? 0) / pageSize);
  });

  it("keeps the view while it is pinned, and takes the newest one after that", () => {
    reader.pin();
    views.newest = 2;
    expect(header().changeCounter).toBe(2);
    expect(reader.sizeBytes()).toBe(states[1]?.length);
    reader.pin();
    reader.unpin();
    expect(header().changeCounter).toBe(3);
    expect(reader.sizeBytes()).toBe(states[2]?.length);
  });

  it("reads page 1 once per view and counter", () => {
    for (let i = 0; i < 10; i++) read(24, 16);
    expect(views.pagesRead).toBe(1);
    reader.changeCounter = 77;
    expect(header()).toMatchObject({ changeCounter: 77, versionValidFor: 77 });
    expect(views.pagesRead).toBe(1);
    views.newest = 3;
    expect(header().changeCounter).toBe(77);
    expect(views.pagesRead).toBe(2);
  });

  it("tells of each page that is read, not of the look at the counter", () => {
    const pages: number[] = [];
    reader.onPage = (pgno) => pages.push(pgno);
    read(24, 16);
    expect(pages).toEqual([]);
    read(0, pageSize);
    read(3 * pageSize, pageSize);
    expect(pages).toEqual([1, 4]);
  });

  it("asks nobody for the lock page, which is zeros", () => {
    const lock = lockPgno(65536);
    const large = { pageSize: 65536, commit: lock + 1, generation: 1 };
    const asked: number[] = [];
    const readPage = (_: unknown, pgno: number): void => void asked.push(pgno);
    const big = new PageReader({ view: () => large, readPage });
    const into = new Uint8Array(65536).fill(1);
    expect(big.read((lock - 1) * 65536, into)).toBe(true);
    expect(into.every((byte) => byte === 0)).toBe(true);
    expect(asked).toEqual([]);
  });
});
