// A database that SQLite really made, state by state, as a history that can be written as LTX files.
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { bytesEqual } from "../../src/core/base/bytes.ts";
import { lockPgno } from "../../src/core/base/page.ts";
import type { Transaction } from "./replica-builder.ts";
import { ReplicaHistory } from "./replica-builder.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The history whose TXID n leaves the database file `states[n - 1]`. */
export function historyOf(states: readonly Uint8Array[], pageSize: number): ReplicaHistory {
  return new ReplicaHistory(
    pageSize,
    states.map((state, index) => changesTo(state, states[index - 1], pageSize)),
  );
}

/** A database of about 200 KB: new, grown, shrunk by VACUUM, grown again. */
const variedSteps = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT, body BLOB); CREATE INDEX by_text ON t(text)",
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
   INSERT INTO t SELECT i, 'row ' || i, randomblob(i % 300) FROM n;
   INSERT INTO t VALUES(9000, 'long', randomblob(100000))`,
  "DELETE FROM t WHERE id % 7 <> 0; VACUUM",
  "INSERT INTO t SELECT id + 10000, text, randomblob(500) FROM t",
];

/** The files of one database after each step. */
export function databaseStates(
  pageSize: number,
  steps: readonly string[] = variedSteps,
): readonly Uint8Array[] {
  using directory = temporaryDirectory();
  const path = directory.file("states.db");
  return steps.map((step) => {
    const db = new DatabaseSync(path);
    db.exec(`PRAGMA page_size=${pageSize}; ${step}`);
    db.close();
    return readFileSync(path);
  });
}

function changesTo(
  state: Uint8Array,
  before: Uint8Array | undefined,
  pageSize: number,
): Transaction {
  const commit = state.length / pageSize;
  const pages = new Map<number, Uint8Array>();
  for (let pgno = 1; pgno <= commit; pgno++) {
    const range = [(pgno - 1) * pageSize, pgno * pageSize] as const;
    const page = state.subarray(...range);
    const isChanged = before === undefined || !bytesEqual(page, before.subarray(...range));
    if (isChanged && pgno !== lockPgno(pageSize)) pages.set(pgno, page);
  }
  return { commit, pages };
}
