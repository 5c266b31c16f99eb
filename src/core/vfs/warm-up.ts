// SQLite's functions are compiled when they are called for the first time, and ours get fast when they have run a few times:
// better before somebody waits for a row.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { WasmConnection } from "./sqlite-wasm-connection.ts";

const script = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, key, body)",
  "CREATE INDEX t_key ON t(key)",
  "INSERT INTO t VALUES(1, 'key', 'body'), (2, 2.5, x'00')",
] as const;
const lookup = "SELECT id, key, body FROM t WHERE id = ?";

const rounds = 20;

/** Runs a lookup a few times on a database in memory. */
export function warmUp(sqlite3: Sqlite3Static): void {
  const vfs = { takeError: () => undefined };
  using connection = new WasmConnection(sqlite3, {
    file: ":memory:",
    vfsName: undefined,
    vfs,
    isCancelled: () => false,
  });
  for (const sql of script) {
    using statement = connection.prepare(sql).statement;
    statement?.step();
  }
  using statement = connection.prepare(lookup).statement;
  for (let round = 0; round < rounds; round++) {
    statement?.bind([1 + (round % 2)]);
    if (statement?.step() === true) statement.row();
    statement?.reset();
  }
}
