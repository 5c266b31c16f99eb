// The rollback journal as SQLite reads and writes it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { repositoryText } from "../../../test/support/repository.ts";
import { temporaryDirectory } from "../../../test/support/temporary.ts";
import { bytesEqual, concatBytes } from "../base/bytes.ts";
import { hasCode } from "../base/errors.ts";
import {
  decodeJournalHeader,
  decodeJournalRecord,
  encodeJournalHeader,
  journalHeaderLayout,
  journalRecordSizeBytes,
  journalSectorSizeBytes,
  sealJournalRecord,
} from "./journal.ts";

const header = {
  recordCount: 3,
  nonce: 0xdead_beef,
  pageCount: 7,
  sectorSize: 512,
  pageSize: 1024,
};

describe("the header of a journal", () => {
  it("comes back as it was written", () => {
    expect(decodeJournalHeader(encodeJournalHeader(header))).toEqual(header);
    const large = { ...header, sectorSize: 4096, pageSize: 65536, nonce: 0xffff_ffff };
    expect(decodeJournalHeader(encodeJournalHeader(large))).toEqual(large);
  });

  it.each([
    ["magic", 0, 1],
    ["sector size", 22, 3],
    ["page size", 27, 7],
  ])("is refused with another %s", (_, at, value) => {
    const bytes = encodeJournalHeader(header);
    bytes[at] = value;
    expect(() => decodeJournalHeader(bytes)).toThrow(/not a rollback journal/u);
  });

  it("is refused if it is cut off", () => {
    try {
      decodeJournalHeader(encodeJournalHeader(header).subarray(0, 27));
      expect.unreachable();
    } catch (error) {
      expect(hasCode(error, "sqlite/invalid")).toBe(true);
    }
  });

  it("has the layout of the documentation", () => {
    const [, after = ""] = repositoryText("docs/formats/rollback-journal.md").split(
      "<!-- layout: journalHeaderLayout -->",
    );
    const [table = ""] = after.trimStart().split("\n\n");
    const rows = table.matchAll(/^\| *(?<offset>\d+) *\| *(?<size>\d+) *\| *(?<field>\w+) *\|/gmu);
    const documented = Object.fromEntries(
      Array.from(rows, ([, offset, size, field]) => [
        field,
        { offset: Number(offset), sizeBytes: Number(size) },
      ]),
    );
    expect(documented).toEqual(journalHeaderLayout);
  });
});

describe("a record", () => {
  it("comes back, and is none of another journal, or once a sampled byte has changed", () => {
    const { pageSize, nonce } = header;
    const record = new Uint8Array(journalRecordSizeBytes(pageSize)).fill(7);
    sealJournalRecord(record, { pgno: 5, nonce, pageSize });
    expect(decodeJournalRecord(record, header)).toEqual({
      pgno: 5,
      page: new Uint8Array(pageSize).fill(7),
    });
    expect(decodeJournalRecord(record, { ...header, nonce: 1 })).toBeUndefined();
    expect(decodeJournalRecord(record.subarray(1), header)).toBeUndefined();
    record[4 + pageSize - 200] = 8;
    expect(decodeJournalRecord(record, header)).toBeUndefined();
  });
});

describe("SQLite", () => {
  it.each([512, 4096, 65536])("writes what we decode, in pages of %d bytes", (pageSize) => {
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    using db = new DatabaseSync(path);
    db.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t(x); INSERT INTO t VALUES('old')`);
    const before = readFileSync(path);
    // The transaction is under way, its journal written, when another connection would look at it.
    db.exec("PRAGMA synchronous=OFF; PRAGMA cache_size=1; BEGIN");
    db.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
       INSERT INTO t SELECT randomblob(${pageSize}) FROM n`,
    );
    const journal = new Uint8Array(readFileSync(`${path}-journal`));
    db.exec("ROLLBACK");
    const found = decodeJournalHeader(journal);
    expect(found).toMatchObject({ pageSize, pageCount: before.length / pageSize });
    const record = decodeJournalRecord(journal.subarray(found.sectorSize), found);
    const { pgno = 0, page } = record ?? {};
    expect(page).toEqual(new Uint8Array(before.subarray((pgno - 1) * pageSize, pgno * pageSize)));
  });

  it.each([
    [4096, "1"],
    [512, "1"],
    // Without the promise that a write leaves the bytes around it alone, SQLite expects a larger sector.
    [512, "0"],
    [65536, "0"],
  ])("undoes what we journaled in pages of %d bytes, growth included, with psow=%s", (...given) => {
    const [pageSize, psow] = given;
    using directory = temporaryDirectory();
    const path = directory.file("app.db");
    {
      using db = new DatabaseSync(path);
      db.exec(`PRAGMA page_size=${pageSize}; CREATE TABLE t(x); INSERT INTO t VALUES('old')`);
    }
    const before = readFileSync(path);
    const pageCount = before.length / pageSize;
    const nonce = 12345;
    const records = Array.from({ length: pageCount }, (_, i) => {
      const record = new Uint8Array(journalRecordSizeBytes(pageSize));
      record.set(before.subarray(i * pageSize, (i + 1) * pageSize), 4);
      sealJournalRecord(record, { pgno: i + 1, nonce, pageSize });
      return record;
    });
    const journal = encodeJournalHeader({
      recordCount: pageCount,
      nonce,
      pageCount,
      pageSize,
      sectorSize: journalSectorSizeBytes,
    });
    writeFileSync(
      path,
      concatBytes([before.map((byte, i) => (i > 200 ? byte ^ 0xff : byte)), before]),
    );
    writeFileSync(`${path}-journal`, concatBytes([journal, ...records]));
    const url = pathToFileURL(path);
    url.searchParams.set("psow", psow);
    using db = new DatabaseSync(url);
    expect(db.prepare("SELECT x FROM t").all()).toEqual([{ x: "old" }]);
    expect(existsSync(`${path}-journal`)).toBe(false);
    expect(bytesEqual(readFileSync(path), before)).toBe(true);
  });
});
