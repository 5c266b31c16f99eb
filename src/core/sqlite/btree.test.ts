import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import {
  type BtreePage,
  childPgnos,
  decodeBtreePage,
  nextOverflowPgno,
  readBtreeCell,
  readVarint,
} from "./btree.ts";
import { decodeDatabaseHeader } from "./database-header.ts";
import { schemaRootPgnos } from "./schema-roots.ts";

interface Image {
  readonly pageSize: number;
  readonly usableBytes: number;
  readonly bytes: Uint8Array;
  /** Root page by name. */
  readonly roots: ReadonlyMap<string, number>;
  readonly count: number;
}

/** A database with a deep table, an index, overflowing rows and a schema of several pages. */
function image(pageSize: number): Image {
  using directory = temporaryDirectory();
  const path = join(directory.path, "x.db");
  const rows = Math.ceil((pageSize * 150) / 300);
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t (id INTEGER PRIMARY KEY, a, b);
    CREATE INDEX t_a ON t (a); CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
    CREATE VIEW v AS SELECT a FROM t`);
  for (let n = 0; n < 40; n++) db.exec(`CREATE TABLE more_${n} (x, ${"y".repeat(n + 1)})`);
  const insert = db.prepare("INSERT INTO t VALUES (?, ?, ?)");
  db.exec("BEGIN");
  for (let n = 0; n < rows; n++) {
    insert.run(
      n * 3 - 100,
      `key ${(n * 7919) % rows}`,
      "x".repeat(n % 50 === 0 ? pageSize * 3 : 250),
    );
    if (n % 10 === 0) db.exec(`INSERT INTO w VALUES ('w${n}', ${n})`);
  }
  db.exec("COMMIT");
  const schema = db.prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").all();
  db.close();
  const bytes = new Uint8Array(readFileSync(path));
  const { reservedBytes } = decodeDatabaseHeader(bytes);
  const roots = schema.map((row) => [String(row["name"]), Number(row["rootpage"])] as const);
  return {
    pageSize,
    usableBytes: pageSize - reservedBytes,
    bytes,
    roots: new Map(roots),
    count: rows,
  };
}

function pageAt({ bytes, pageSize }: Image, pgno: number): Uint8Array {
  return bytes.subarray((pgno - 1) * pageSize, pgno * pageSize);
}

function decode(from: Image, pgno: number): BtreePage {
  const page = decodeBtreePage(pageAt(from, pgno), { pgno, usableBytes: from.usableBytes });
  if (page === undefined) throw new Error(`page ${pgno} is no b-tree page`);
  return page;
}

/** All leaves of a tree in key order. */
function leavesOf(from: Image, root: number): readonly BtreePage[] {
  const page = decode(from, root);
  const children = [...(childPgnos(page) ?? [])];
  return children.length === 0 ? [page] : children.flatMap((child) => leavesOf(from, child));
}

describe.each([512, 1024, 4096, 65_536])("b-tree pages of %i bytes", (pageSize) => {
  const from = image(pageSize);

  it("are walked from the schema to every row", () => {
    const roots = leavesOf(from, 1).flatMap(schemaRootPgnos);
    expect(new Set(roots)).toEqual(new Set(from.roots.values()));
    expect(roots.length).toBe(from.roots.size);
    const rowids = leavesOf(from, from.roots.get("t") ?? 0).flatMap((leaf) =>
      Array.from(leaf.cellOffsets, (_, index) => readBtreeCell(leaf, index)?.rowid),
    );
    expect(rowids).toEqual(Array.from({ length: from.count }, (_, n) => BigInt(n * 3 - 100)));
  });

  it("lead to whole payloads through their overflow chains", () => {
    const leaf = leavesOf(from, from.roots.get("t") ?? 0)[0];
    if (leaf === undefined) throw new Error("no leaf");
    const cell = readBtreeCell(leaf, 0);
    expect(cell?.payloadSizeBytes).toBeGreaterThan(3 * pageSize);
    let sizeBytes = cell?.local.length ?? 0;
    for (let pgno = cell?.overflowPgno ?? 0; pgno !== 0;) {
      sizeBytes += from.usableBytes - 4;
      pgno = nextOverflowPgno(pageAt(from, pgno));
    }
    expect(sizeBytes).toBeGreaterThanOrEqual(cell?.payloadSizeBytes ?? 0);
    expect(sizeBytes - (cell?.payloadSizeBytes ?? 0)).toBeLessThan(from.usableBytes);
  });

  it("hold the keys of indexes and of tables without rowid", () => {
    for (const [name, count] of [
      ["t_a", from.count],
      ["w", Math.ceil(from.count / 10)],
    ] as const) {
      const cells = cellsOf(from, from.roots.get(name) ?? 0);
      expect(cells).toBe(count);
    }
  });

  it("never make the reader leave the page, whatever they hold", () => {
    const pages = [1, ...from.roots.values()];
    fc.assert(
      fc.property(
        fc.constantFrom(...pages),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 20 }),
        (pgno, changes) => {
          const page = pageAt(from, pgno).slice();
          for (const [at, byte] of changes) page[at % (at % 3 === 0 ? 40 : page.length)] = byte;
          const found = decodeBtreePage(page, { pgno, usableBytes: from.usableBytes });
          if (found === undefined) return;
          childPgnos(found);
          schemaRootPgnos(found);
          for (let index = 0; index < found.cellOffsets.length; index++) {
            const cell = readBtreeCell(found, index);
            expect(cell?.local.length ?? 0).toBeLessThanOrEqual(cell?.payloadSizeBytes ?? 0);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Entries of an index tree, which lie on interior pages, too. */
function cellsOf(from: Image, root: number): number {
  const page = decode(from, root);
  for (let index = 0; index < page.cellOffsets.length; index++) {
    expect(readBtreeCell(page, index)).toBeDefined();
  }
  const children = [...(childPgnos(page) ?? [])];
  return children.reduce((sum, child) => sum + cellsOf(from, child), page.cellOffsets.length);
}

describe("decodeBtreePage", () => {
  const usableBytes = 512;
  const pgno = 2;

  it("refuses other pages, too many cells, and cells or children out of bounds", () => {
    const leaf = new Uint8Array(512);
    leaf.set([13, 0, 0, 0, 1, 1, 0xf0, 0, 1, 0xf0]);
    expect(decodeBtreePage(leaf, { pgno, usableBytes })).toBeDefined();
    expect(decodeBtreePage(leaf, { pgno, usableBytes: 513 })).toBeUndefined();
    for (const [at, byte] of [
      [0, 0],
      [0, 12],
      [3, 1],
      [8, 2],
      [9, 9],
    ] as const) {
      const broken = at === 9 ? leaf.with(8, 0).with(9, byte) : leaf.with(at, byte);
      expect(decodeBtreePage(broken, { pgno, usableBytes })).toBeUndefined();
    }
    const interior = new Uint8Array(512);
    interior.set([5, 0, 0, 0, 1, 1, 0xf0, 0, 0, 0, 0, 7, 1, 0xf0]);
    interior.set([0, 0, 0, 9, 1], 0x1f0);
    const page = decodeBtreePage(interior, { pgno, usableBytes });
    expect(page === undefined ? [] : childPgnos(page)).toEqual(Uint32Array.of(9, 7));
    expect(decodeBtreePage(interior.with(11, 1), { pgno, usableBytes })).toBeUndefined();
    const zeroChild = decodeBtreePage(interior.with(0x1f3, 0), { pgno, usableBytes });
    expect(zeroChild === undefined ? [] : childPgnos(zeroChild)).toBeUndefined();
  });
});

describe("readVarint", () => {
  it("reads one to nine bytes and nothing that is cut off", () => {
    expect(readVarint(Uint8Array.of(0x7f), 0)).toEqual({ value: 127n, next: 1 });
    expect(readVarint(Uint8Array.of(0x81, 0), 0)).toEqual({ value: 128n, next: 2 });
    const nine = new Uint8Array(9).fill(0xff);
    expect(readVarint(nine, 0)).toEqual({ value: 2n ** 64n - 1n, next: 9 });
    for (let length = 0; length < 9; length++) {
      expect(readVarint(nine.subarray(0, length), 0)).toBeUndefined();
    }
  });
});
