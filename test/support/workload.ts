// Transactions as unkind to capture as SQLite allows: spills, rollbacks, growth without writes, shrinking, VACUUM. Each
// committed one moves the counter in table `progress` by one and keeps a running sum, so a reader can tell a torn
// or missing transaction. VACUUM is the exception: it commits without the counter.
import type { DatabaseSync } from "node:sqlite";

export interface Workload {
  readonly seed: number;
  readonly transactions: number;
  /** Include VACUUM, which takes the write lock for long. */
  readonly vacuum?: boolean;
  /** Most rows changed by a transaction. Default 300. */
  readonly maxRows?: number;
  /** Share of transactions that do heavy things; the others change a few rows. Default 1. */
  readonly heavyShare?: number;
}

/** Makes the tables that `runWorkload` needs. */
export const workloadSchema = `
  CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, sum INTEGER NOT NULL);
  INSERT INTO progress VALUES (1, 0, 0);
  CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, body BLOB);
  CREATE INDEX item_name ON item (name);
`;

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs random transactions; returns how many were committed, and calls `onCommit` after each. */
export function runWorkload(
  database: DatabaseSync,
  workload: Workload,
  onCommit?: () => void,
): number {
  const random = seededRandom(workload.seed);
  const int = (limit: number): number => Math.floor(random() * limit);
  const maxRows = workload.maxRows ?? 300;
  database.exec("PRAGMA cache_size=50");
  const insert = database.prepare(
    "INSERT INTO item (name, body) VALUES (hex(randomblob(8)), randomblob(?))",
  );
  const update = database.prepare(
    "UPDATE item SET name = hex(randomblob(8)), body = randomblob(?) WHERE id % ? = 0",
  );
  const progress = database.prepare(
    "UPDATE progress SET seq = seq + 1, sum = (sum * 31 + seq + 1) % 1000003",
  );
  const change = (): void => {
    const kind = random();
    if (kind < 0.45) {
      const rows = 1 + int(random() < 0.2 ? maxRows : 5);
      for (let i = 0; i < rows; i++) insert.run(int(random() < 0.1 ? 9000 : 300));
    } else if (kind < 0.6) {
      update.run(int(400), 1 + int(50));
    } else if (kind < 0.75) {
      database.exec(`DELETE FROM item WHERE id % ${2 + int(6)} = 0`);
    } else if (kind < 0.85) {
      insert.run(20_000 + int(150_000));
    } else if (kind < 0.93) {
      database.exec(`PRAGMA incremental_vacuum(${int(40)})`);
    } else {
      database.exec("DROP TABLE IF EXISTS scratch");
      database.exec("CREATE TABLE scratch AS SELECT name, body FROM item LIMIT 50");
    }
  };
  const updateOne = database.prepare("UPDATE item SET body = randomblob(?) WHERE id = ?");
  const changeLittle = (): void => {
    if (random() < 0.3) insert.run(int(300));
    else updateOne.run(int(300), 1 + int(3000));
  };
  let committed = 0;
  const noteCommit = (): void => {
    committed++;
    onCommit?.();
  };
  for (let i = 0; i < workload.transactions; i++) {
    if (workload.vacuum === true && random() < 0.04) {
      database.exec("VACUUM");
      noteCommit();
      continue;
    }
    database.exec("BEGIN IMMEDIATE");
    const isHeavy = random() < (workload.heavyShare ?? 1);
    for (let changes = 1 + int(3); changes > 0; changes--) {
      if (isHeavy) change();
      else changeLittle();
    }
    progress.run();
    if (random() < 0.1) {
      database.exec("ROLLBACK");
    } else {
      database.exec("COMMIT");
      noteCommit();
    }
  }
  return committed;
}
