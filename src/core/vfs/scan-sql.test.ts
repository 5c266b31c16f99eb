// The scanner against SQLite itself: where a statement ends, and which parameters it has.
import initSqlite from "@sqlite.org/sqlite-wasm";
import { describe, expect, it } from "vitest";
import { createSeededRandom } from "../testing/seeded-random.ts";
import { scanSql } from "./scan-sql.ts";

const sqlite3 = await initSqlite();
const { capi } = sqlite3;
const db = new sqlite3.oo1.DB(":memory:");

/** What SQLite says of a text; `undefined`: it refuses it. */
function bySqlite(sql: string): { rest: string; names: (string | null)[] } | undefined {
  const { wasm } = sqlite3;
  const scope = wasm.scopedAllocPush();
  try {
    const [text, sizeBytes] = wasm.scopedAllocCString(sql, true);
    const [statementOut, tailOut] = [wasm.scopedAlloc(4), wasm.scopedAlloc(4)];
    const pointer = db.pointer ?? 0;
    const code = capi.sqlite3_prepare_v3(pointer, text, sizeBytes + 1, 0, statementOut, tailOut);
    const statement = wasm.peekPtr(statementOut);
    if (code !== capi.SQLITE_OK || statement === 0) return undefined;
    const count = capi.sqlite3_bind_parameter_count(statement);
    const names = Array.from({ length: count }, (_, i) =>
      capi.sqlite3_bind_parameter_name(statement, i + 1),
    );
    capi.sqlite3_finalize(statement);
    return { rest: wasm.cstrToJs(wasm.peekPtr(tailOut)) ?? "", names };
  } finally {
    wasm.scopedAllocPop(scope);
  }
}

function compare(sql: string): boolean {
  const expected = bySqlite(sql);
  if (expected === undefined) return false;
  const { end, parameters } = scanSql(sql);
  const found = { rest: sql.slice(end), names: parameters.map((name) => name ?? null) };
  expect({ sql, ...found }).toEqual({ sql, ...expected });
  return true;
}

describe("the scanner", () => {
  it.each([
    "SELECT ?, ?5, :a, @b, $c, :a, ?, ?2; SELECT 2",
    "SELECT 1 -- ? ;\n, ? /* ; ? */, ';?''' AS \"x?\"\";\" ; -- rest",
    "SELECT `a;` FROM (SELECT 1 AS `a;`); x",
    "SELECT [a;?] FROM (SELECT 1 AS [a;?])",
    "SELECT x'00', 1e5, .5, 0x1F, 1.5e-3, $a::b(c;d), $a",
    "SELECT 1 /* never ends ; ?",
    ";;  ; SELECT ?; SELECT 1",
    "SELECT 'é;?', :é, ?",
    "SELECT @a$b, :a1, $1, a$ FROM (SELECT 1 AS a$)",
  ])("agrees with SQLite on %s", (sql) => {
    expect(compare(sql)).toBe(true);
  });

  it("agrees with SQLite on whatever SQLite takes", () => {
    const random = createSeededRandom(7);
    const parts = [
      ..."? ?3 :a @b $c 'x;' \"y\" `z` 1 2.5 + - , ( ) ; -- /* */ x'00' AS n SELECT NULL".split(
        " ",
      ),
      " ",
      "\n",
      "''",
    ];
    let taken = 0;
    for (let round = 0; round < 20_000; round++) {
      const length = 1 + Math.floor(random.float() * 8);
      const picked = Array.from(
        { length },
        () => parts[Math.floor(random.float() * parts.length)] ?? "",
      );
      if (compare(`SELECT ${picked.join(random.float() < 0.5 ? " " : "")}`)) taken++;
    }
    expect(taken).toBeGreaterThan(500);
  });

  it("gives the words of a statement and none of what is quoted", () => {
    const { words } = scanSql("/* a */ Select b, 'c' FROM \"d\" -- e\nWHERE f = :g AND [h] > 1e5");
    expect(words).toEqual(["select", "b", "from", "where", "f", "and"]);
  });

  it("finds nothing where there is only space and comments", () => {
    for (const sql of ["", " \n", "-- a", "/* b", "; ;"]) expect(scanSql(sql).words).toEqual([]);
  });
});
