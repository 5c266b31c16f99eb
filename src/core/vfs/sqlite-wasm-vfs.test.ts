// The real SQLite in WebAssembly over databases in memory.
import initSqlite from "@sqlite.org/sqlite-wasm";
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MemoryViews } from "../../../test/support/memory-views.ts";
import type { MemoryView } from "../../../test/support/memory-views.ts";
import { databaseStates } from "../../../test/support/sqlite-history.ts";
import { HeadwaterError } from "../base/errors.ts";
import { PageReader } from "./page-reader.ts";
import { WasmConnection } from "./sqlite-wasm-connection.ts";
import type { OpenRequest } from "./sqlite-wasm-vfs.ts";
import { installSqliteWasmVfs } from "./sqlite-wasm-vfs.ts";
import type { SqlParameters, SqlValue } from "./sql-values.ts";

const pageSizes = [512, 4096, 65536];
let sqlite3: Sqlite3Static;
beforeAll(async () => {
  sqlite3 = await initSqlite();
});

let installed = 0;
let views: MemoryViews;
let main: PageReader<MemoryView>;
let connection: WasmConnection;
let isCancelled = false;

function connect(pageSize: number, files = databaseStates(pageSize)): void {
  views = new MemoryViews(files, pageSize);
  main = new PageReader(views);
  const vfsName = `memory-${++installed}`;
  const open = ({ name, at, txid }: OpenRequest): PageReader => {
    if (name !== "app") throw new HeadwaterError("usage/invalid", `there is no ${name}`);
    const index = txid ?? at;
    if (index === undefined) return main;
    const view = views.at(Number(index));
    return new PageReader({ view: () => view, readPage: views.readPage });
  };
  const vfs = installSqliteWasmVfs(sqlite3, { name: vfsName, open });
  isCancelled = false;
  connection = new WasmConnection(sqlite3, {
    file: "file:app",
    vfsName,
    vfs,
    isCancelled: () => isCancelled,
  });
}
afterEach(() => connection[Symbol.dispose]());

function rows(sql: string, parameters: SqlParameters = []): SqlValue[][] {
  const { statement } = connection.prepare(sql);
  if (statement === undefined) return [];
  using open = statement;
  open.bind(parameters);
  const all: SqlValue[][] = [];
  while (open.step()) all.push(open.row());
  return all;
}

function value(sql: string, parameters: SqlParameters = []): SqlValue | undefined {
  return rows(sql, parameters)[0]?.[0];
}

describe.each(pageSizes)("SQLite in WebAssembly over views, pages of %i bytes", (pageSize) => {
  beforeEach(() => connect(pageSize));

  it("reads each view whole and intact, growth and VACUUM included", () => {
    for (const [index, file] of databaseStates(pageSize).entries()) {
      views.newest = index;
      expect(value("PRAGMA integrity_check")).toBe("ok");
      expect(value("PRAGMA page_count")).toBe(views.at(index).commit);
      expect(file.length).toBeGreaterThan(0);
    }
  });

  it("keeps its snapshot inside a transaction and sees the newest view after it", () => {
    views.newest = 1;
    rows("BEGIN");
    expect(value("SELECT count(*) FROM t")).toBe(401);
    views.newest = 2;
    expect(value("SELECT count(*) FROM t")).toBe(401);
    expect(value("SELECT count(*) FROM t NOT INDEXED")).toBe(401);
    rows("COMMIT");
    expect(value("SELECT count(*) FROM t")).toBe(57);
  });

  it("reads no page again while nothing changes, and every page when the counter is given", () => {
    views.newest = 1;
    const sql = "SELECT body FROM t WHERE id = 77";
    rows(sql);
    const before = views.pagesRead;
    for (let i = 0; i < 50; i++) rows(sql);
    expect(views.pagesRead).toBe(before);
    const trace = (): number[] => {
      const pages: number[] = [];
      main.onPage = (pgno) => pages.push(pgno);
      rows(sql);
      main.onPage = undefined;
      return pages;
    };
    expect(trace()).toEqual([]);
    main.changeCounter = 1000;
    const first = trace();
    main.changeCounter = 1001;
    expect(trace()).toEqual(first);
    expect(first.length).toBeGreaterThan(1);
  });

  it("joins moments of one database in one statement", () => {
    views.newest = 3;
    rows("ATTACH 'file:app?at=1' AS past");
    rows("ATTACH 'file:app?txid=2' AS later");
    const [counts] = rows(
      "SELECT (SELECT count(*) FROM past.t), (SELECT count(*) FROM later.t), (SELECT count(*) FROM main.t)",
    );
    expect(counts).toEqual([401, 57, 114]);
    views.newest = 2;
    expect(value("SELECT count(*) FROM past.t")).toBe(401);
    expect(value("SELECT count(*) FROM main.t")).toBe(57);
  });
});

describe("a connection to a replica", () => {
  beforeEach(() => {
    connect(4096);
    views.newest = 1;
  });

  it("refuses to write, and lets tables in memory be made", () => {
    for (const sql of [
      "INSERT INTO t(text) VALUES('x')",
      "UPDATE t SET text = ''",
      "DROP TABLE t",
      "CREATE TABLE u(a)",
      "PRAGMA user_version = 7",
    ]) {
      expect(() => rows(sql)).toThrow(expect.objectContaining({ code: "query/read-only" }));
    }
    rows("CREATE TEMP TABLE scratch AS SELECT * FROM t WHERE id < 5");
    rows("ATTACH ':memory:' AS memory");
    rows("CREATE TABLE memory.u AS SELECT id FROM t");
    expect(value("SELECT count(*) FROM scratch JOIN memory.u USING (id)")).toBe(4);
  });

  it("sorts more than fits the page cache without a file", () => {
    const sorted = rows(
      "SELECT a.id FROM t a, t b WHERE b.id < 60 ORDER BY hex(a.text), b.text DESC, a.body",
    );
    expect(sorted).toHaveLength(401 * 59);
  });

  it("knows no other file", () => {
    expect(() => rows("ATTACH 'file:other' AS o")).toThrow("there is no other");
    expect(() => rows("VACUUM INTO 'copy.db'")).toThrow("there is no");
    expect(value("SELECT 1")).toBe(1);
  });

  it("gives the reason when a page cannot be had, and works again after that", () => {
    views.failure = new Error("the network is gone");
    expect(() => rows("SELECT sum(length(body)) FROM t")).toThrow(views.failure);
    views.failure = undefined;
    expect(value("SELECT count(body) FROM t")).toBe(401);
  });

  it("ends a statement that is cancelled", () => {
    isCancelled = true;
    const endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    expect(() => rows(endless)).toThrow("interrupted");
    isCancelled = false;
    expect(value("SELECT count(*) FROM t")).toBe(401);
  });

  it("says what SQLite says of a wrong statement", () => {
    expect(() => rows("SELECT nowhere FROM t")).toThrow(
      expect.objectContaining({
        code: "query/sql",
        message: expect.stringContaining("no such column: nowhere"),
      }),
    );
    expect(() => rows("SELEC 1")).toThrow("syntax error");
  });

  it("reports a page that is no page of a database", () => {
    const damaged = views.at(1).bytes.slice();
    damaged.fill(0x5a, 4096);
    connect(4096, [damaged]);
    expect(() => rows("SELECT count(*) FROM t")).toThrow(
      expect.objectContaining({ code: "query/corrupt" }),
    );
  });

  it("splits a text into its statements", () => {
    const first = connection.prepare("SELECT 1; -- one\n SELECT 2; /* end */ ");
    const second = connection.prepare(first.rest);
    const third = connection.prepare(second.rest);
    first.statement?.[Symbol.dispose]();
    second.statement?.[Symbol.dispose]();
    expect([first, second, third].map(({ statement }) => statement !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe("values", () => {
  beforeEach(() => connect(4096));

  it.each([
    ["an integer", 7, "integer"],
    ["the greatest exact integer", Number.MAX_SAFE_INTEGER, "integer"],
    ["a 64-bit integer", 9_223_372_036_854_775_807n, "integer"],
    ["the least integer", -9_223_372_036_854_775_808n, "integer"],
    ["a float", 0.1, "real"],
    ["infinity", Number.POSITIVE_INFINITY, "real"],
    ["null", null, "null"],
    ["a text", "Grüße, 世界 \u{1F600}", "text"],
    ["a text with a zero", "a\u0000b", "text"],
    ["an empty text", "", "text"],
    ["a blob", Uint8Array.of(0, 255, 1), "blob"],
    ["an empty blob", new Uint8Array(0), "blob"],
  ] as const)("take %s in and give it back", (_, given, type) => {
    expect(rows("SELECT ?1, typeof(?1)", [given])).toEqual([[given, type]]);
  });

  it("give integers beyond 2^53 as bigint, none rounded", () => {
    expect(value("SELECT 9007199254740993")).toBe(9_007_199_254_740_993n);
    expect(value("SELECT 9007199254740991")).toBe(9_007_199_254_740_991);
  });

  it("give a text whole, its byte order mark too", () => {
    expect(value("SELECT char(65279) || 'a'")).toBe("\u{feff}a");
    expect(value("SELECT ?", ["\u{feff}"])).toBe("\u{feff}");
  });

  it("take names, with and without their sign", () => {
    expect(rows("SELECT :a, @b, $c", { a: 1, "@b": true, c: "x" })).toEqual([[1, 1, "x"]]);
  });

  it.each([
    ["SELECT ?", [], "1 parameters and 0 values"],
    ["SELECT 1", [1], "0 parameters and 1 values"],
    ["SELECT :a", {}, "no value for the parameter :a"],
    ["SELECT :a", { a: 1, b: 2 }, "no parameter b"],
    ["SELECT ?", { a: 1 }, "no name"],
    ["SELECT ?", [2n ** 63n], "64 bits"],
    ["SELECT ?", [undefined as never], "undefined"],
    ["SELECT ?", [{} as never], "of type object"],
  ] as const)(
    "refuse for %s a list or record that does not fit: %#",
    (sql, parameters, message) => {
      expect(() => rows(sql, parameters)).toThrow(
        expect.objectContaining({
          code: "usage/invalid",
          message: expect.stringContaining(message),
        }),
      );
    },
  );
});
