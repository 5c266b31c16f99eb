// Both SQLites of a hydrated replica give the same: values, batches and errors. What `node:sqlite` alone gives is compared, too.
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FollowScene } from "../../../test/support/follow-scene.ts";
import { type HydratedReplica, openHydrated } from "../../../test/support/hydrated.ts";
import type { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import { type SqlParameters, toSqlRow } from "../../core/vfs/sql-values.ts";
import { runNow } from "../../core/vfs/soon.ts";
import { Statements } from "../../core/vfs/statements.ts";
import { NativeConnection } from "./native-connection.ts";
import { openReplica } from "./open-replica.ts";

const opened = new AsyncDisposableStack();
let plain: ReplicaDatabase;
let hydrated: HydratedReplica;
let native: Statements;
beforeAll(async () => {
  const scene = opened.use(new FollowScene());
  await scene.publish(1, 2);
  plain = opened.use(await openReplica(scene.url));
  hydrated = opened.use(await openHydrated(scene.url, { hydrate: scene.output }));
  await hydrated.hydrated();
  const path = scene.directory.file("native #1?.db");
  writeFileSync(path, scene.states[1] ?? "");
  native = new Statements(opened.use(new NativeConnection(path)));
}, 60_000);
afterAll(() => opened.disposeAsync());

async function failureOf(query: () => Promise<unknown>): Promise<unknown> {
  try {
    return await query();
  } catch (error) {
    return error;
  }
}

function nativeRows(sql: string, parameters: SqlParameters): unknown {
  const request = { kind: "start", sql, parameters, isSingle: true } as const;
  const { columns, rows } = runNow(native.answer(request));
  return rows.map((row) => toSqlRow(columns, row));
}

describe("the copy", () => {
  it.each<[string, SqlParameters]>([
    [
      "SELECT 9007199254740991, 9007199254740992, -9223372036854775807 - 1, 7, 1.0, 1e999, -0.0",
      [],
    ],
    [
      "SELECT 'a' || char(0) || 'b', '', x'', x'00ff', NULL, CAST(x'ff41' AS TEXT), char(65279)",
      [],
    ],
    [
      "SELECT typeof(?1), typeof(?2), typeof(?3), typeof(?4), typeof(?5), ?6, ?7, ?8",
      [7, 7.5, 7n, true, NaN, "x\0y", new Uint8Array([0, 1]), null],
    ],
    ["SELECT :a, $b, @c, :a", { a: 1, $b: "two", c: 2n ** 60n }],
    ["SELECT ?3, ?1, ?", ["a", "b", "c", "d"]],
    ["SELECT :a, ?, ?2, :b", [1, 2, 3]],
    ["SELECT 1 AS a, 2 AS a, 3 AS \"b\" /* ? */ -- :c\n, ':d', [id] FROM t WHERE id = ?;", [7]],
    ["SELECT '\ud800', length(?)", ["\ud800"]],
    ["VALUES (1, 'a'), (2, 'b')", []],
    ["WITH x AS (SELECT id FROM t WHERE id < 5) SELECT count(*) FROM x", []],
    ["SELECT id FROM t WHERE id > 100000", []],
    ["SELECT a.id, b.text FROM t a JOIN t b ON b.id = a.id WHERE a.text = 'row 7'", []],
  ])("gives the same values: %s", async (sql, parameters) => {
    const expected = await Array.fromAsync(plain.query(sql, parameters));
    expect(nativeRows(sql, parameters)).toEqual(expected);
    expect(await hydrated.all(sql, parameters)).toEqual(expected);
  });

  it.each<[string, SqlParameters]>([
    ["DELETE FROM t", []],
    ["WITH x AS (SELECT 1) DELETE FROM t", []],
    ["SELECT nothing FROM t", []],
    ['SELECT "nothing" FROM t', []],
    ["SELECT 1; SELECT 2", []],
    ["SELECT ?", []],
    ["SELECT ?, :a", { a: 1 }],
    ["SELECT :a", { b: 1 }],
    ["SELECT :a", { a: 1, b: 2 }],
    ["SELECT ?", [1, 2]],
    ["SELECT ?", [2n ** 64n]],
    ["SELECT abs(-9223372036854775807 - 1)", []],
    ["SELECT json(text) FROM t", []],
    ["ATTACH 'file:other' AS other", []],
  ])("gives the same errors: %s %o", async (sql, parameters) => {
    const expected = await failureOf(() => Array.fromAsync(plain.query(sql, parameters)));
    expect(expected).toBeInstanceOf(Error);
    expect(await failureOf(() => hydrated.all(sql, parameters))).toEqual(expected);
    expect(await hydrated.isNative()).toBe(true);
  });

  it("gives the same rows, statement by statement", async () => {
    const script =
      "SELECT id FROM t WHERE id < 3; CREATE TEMP TABLE s(a); INSERT INTO s VALUES(7); SELECT a FROM s; -- end\n" +
      "SELECT 8 AS b; DROP TABLE s;";
    const read = async (db: ReplicaDatabase): Promise<unknown> => {
      // How many rows are in a batch depends on how fast they come.
      const byStatement = new Map<number, [columns: readonly string[], rows: unknown[]]>();
      for await (const { statement, columns, rows } of db.batches(script)) {
        const known = byStatement.get(statement) ?? [columns, []];
        known[1].push(...rows);
        byStatement.set(statement, known);
      }
      return [...byStatement];
    };
    expect(await read(hydrated.db)).toEqual(await read(plain));
  });

  it.each([
    "SELECT count(*) FROM t a, t b",
    "SELECT id FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE b.text = a.text)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
  ])("does not take what could go on for ever: %s", (sql) => {
    expect(() => nativeRows(sql, [])).toThrow("could not be stopped");
  });
});
