// `headwater diff` as a user meets it, on two states that SQLite made.
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { headwater } from "../support/headwater.ts";
import { historyOf } from "../support/sqlite-history.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import type { TemporaryDirectory } from "../support/temporary.ts";

const steps = [
  `CREATE TABLE plain(id INTEGER PRIMARY KEY, text, body BLOB, same);
   INSERT INTO plain VALUES(1, 'it''s', x'00', 1), (2, 'b', x'01', 1), (3, NULL, NULL, 1);
   CREATE TABLE keyless(rowid, x);
   INSERT INTO keyless VALUES('a', 1), ('b', 2);
   CREATE TABLE pair(a, b, v, PRIMARY KEY(b, a)) WITHOUT ROWID;
   INSERT INTO pair VALUES(1, 1, 'one'), (1, 2, 'two');
   CREATE TABLE loose(k TEXT PRIMARY KEY, v);
   INSERT INTO loose VALUES(NULL, 1);
   CREATE TABLE dropped(x); INSERT INTO dropped VALUES(7);
   CREATE TABLE quiet(x); INSERT INTO quiet VALUES(7);
   CREATE VIEW seen AS SELECT * FROM plain;
   CREATE VIRTUAL TABLE words USING fts5(text)`,
  `UPDATE plain SET body = x'02' WHERE id = 1; UPDATE plain SET text = 'c', body = NULL WHERE id = 2;
   DELETE FROM plain WHERE id = 3; INSERT INTO plain VALUES(9007199254740993, 'new', NULL, 2);
   UPDATE keyless SET x = 3 WHERE x = 2;
   UPDATE pair SET v = 'zwei' WHERE b = 2;
   UPDATE loose SET v = 2;
   DROP TABLE dropped;
   CREATE TABLE "new ""one"""(x); INSERT INTO "new ""one""" VALUES('it');
   INSERT INTO words VALUES('hello')`,
];

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = temporaryDirectory();
  await makeReplica(directory, steps);
});
afterAll(() => directory[Symbol.dispose]());

/** TXID n is the database after `sql[n - 1]`. */
async function makeReplica(place: TemporaryDirectory, sql: readonly string[]): Promise<void> {
  const path = place.file("made.db");
  const states = sql.map((step) => {
    using db = new DatabaseSync(path);
    db.exec(step);
    return readFileSync(path);
  });
  await historyOf(states, 4096).writeLevel0(place.file("replica"));
}

function diff(...args: readonly string[]): ReturnType<typeof diffIn> {
  return diffIn(directory, ...args);
}

async function diffIn(
  place: TemporaryDirectory,
  ...args: readonly string[]
): Promise<{ code: number | null; out: string; err: string }> {
  await using child = headwater(["diff", place.file("replica"), ...args]);
  const { code } = await child.exited;
  return { code, out: child.lines.join("\n"), err: child.stderr };
}

const first = "0000000000000001";
const second = "0000000000000002";

describe("headwater diff", () => {
  it("finds what differs in bytes alone, and rows whose key is not of their own", async () => {
    using odd = temporaryDirectory();
    await makeReplica(odd, [
      `CREATE TABLE same(id INTEGER PRIMARY KEY, letters COLLATE NOCASE, number);
       INSERT INTO same VALUES(1, 'a', 1), (2, 'b', 2), (3, 'c', 1), (4, 'd', 4);
       CREATE TABLE named(name TEXT PRIMARY KEY COLLATE NOCASE, v) WITHOUT ROWID;
       INSERT INTO named VALUES('ann', 1), ('bob', 1);
       CREATE TABLE nulls(k TEXT PRIMARY KEY, v); INSERT INTO nulls VALUES(NULL, 1), (NULL, 2), (NULL, 3);
       CREATE TABLE hidden(rowid, _rowid_, oid); INSERT INTO hidden VALUES(1, 2, 3), (4, 5, 6);
       CREATE TABLE joined("a,b", v, PRIMARY KEY("a,b")); INSERT INTO joined VALUES(1, 1);
       CREATE TABLE made(a INTEGER PRIMARY KEY, b AS (a + 1), c); INSERT INTO made(a, c) VALUES(1, 1);
       CREATE TABLE uncovered(a, b); INSERT INTO uncovered VALUES(1, 1);
       CREATE TABLE viewed(x); INSERT INTO viewed VALUES(1);`,
      `UPDATE same SET letters = 'A' WHERE id = 1; UPDATE same SET number = 2.0 WHERE id = 2;
       UPDATE same SET number = '1' WHERE id = 3;
       UPDATE named SET name = 'Ann' WHERE name = 'ann';
       UPDATE nulls SET v = 9 WHERE v = 2;
       UPDATE hidden SET oid = 7 WHERE rowid = 1;
       DROP TABLE joined; CREATE TABLE joined(a, b, v, PRIMARY KEY(a, b)); INSERT INTO joined VALUES(1, 1, 1);
       UPDATE made SET c = 2;
       DROP TABLE uncovered; CREATE TABLE uncovered(rowid, a); INSERT INTO uncovered VALUES(5, 1);
       DROP TABLE viewed; CREATE VIEW viewed AS SELECT 2 AS x;`,
    ]);
    const { code, out, err } = await diffIn(odd, "--from", first);
    expect(out.split("\n")).toEqual([
      "hidden",
      "- rowid=1 _rowid_=2 oid=3",
      "+ rowid=1 _rowid_=2 oid=7",
      "",
      "joined",
      "- a,b=1 v=1",
      "+ a=1 b=1 v=1",
      "",
      "made",
      "~ a=1  c: 1 -> 2",
      "",
      "named",
      "~ name='ann'  name: 'ann' -> 'Ann'",
      "",
      "nulls",
      "~ k=NULL  v: 2 -> 9",
      "",
      "same",
      "~ id=1  letters: 'a' -> 'A'",
      "~ id=3  number: 1 -> '1'",
      "",
      "viewed",
      "- x=1",
    ]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  it("prints what was added, removed and changed, table by table", async () => {
    const { code, out, err } = await diff("--from", first);
    expect(out.split("\n")).toEqual([
      "dropped",
      "- x=7",
      "",
      "keyless",
      "~ _rowid_=2  x: 2 -> 3",
      "",
      "loose",
      "~ k=NULL  v: 1 -> 2",
      "",
      'new "one"',
      "+ x='it'",
      "",
      "pair",
      "~ b=2 a=1  v: 'two' -> 'zwei'",
      "",
      "plain",
      "- id=3 text=NULL body=NULL same=1",
      "+ id=9007199254740993 text='new' body=NULL same=2",
      "~ id=1  body: x'00' -> x'02'",
      "~ id=2  text: 'b' -> 'c', body: x'01' -> NULL",
    ]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  it("goes backwards, keeps to one table, and prints JSON with every digit", async () => {
    const { out } = await diff("--json", "--from", second, "--to", first, "PLAIN");
    expect(out.split("\n").slice(1, -1)).toEqual([
      '  {"table":"plain","change":"removed","key":{"id":9007199254740993},"from":{"id":9007199254740993,"text":"new","body":null,"same":2}},',
      '  {"table":"plain","change":"added","key":{"id":3},"to":{"id":3,"text":null,"body":null,"same":1}},',
      '  {"table":"plain","change":"changed","key":{"id":1},"from":{"body":"02"},"to":{"body":"00"}},',
      '  {"table":"plain","change":"changed","key":{"id":2},"from":{"text":"c","body":null},"to":{"text":"b","body":"01"}}',
    ]);
    expect(JSON.parse(out)).toHaveLength(4);
  });

  it("takes times, and says when nothing differs", async () => {
    const { code, out, err } = await diff("--from", "now", "--to", "1 minute ago");
    expect({ code, out, err }).toEqual({ code: 0, out: "", err: "No row differs.\n" });
    expect((await diff("--from", "now", "--json")).out).toBe("[]");
  });

  it.each([
    [[], "--from"],
    [["--from", first, "nowhere"], "There is no table nowhere at either moment"],
    [["--from", "00000000000000ff"], "is above the newest one"],
    [["--from", "soon"], '"soon" is no moment'],
  ])("fails for %j and says why", async (args, message) => {
    const { code, err } = await diff(...args);
    expect(err).toContain(message);
    expect(code).toBe(1);
  });
});
