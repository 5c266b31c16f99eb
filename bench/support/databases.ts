// The databases that several benchmarks need. Making them takes a while, so they are kept in the system's temporary
// directory until the next run.
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createSampleDatabase } from "./sample-database.ts";

/** Where databases and measurements go: on the disk, unless the temporary directory is in memory. */
const keptDirectory = join(tmpdir(), "headwater-bench-data");

function kept(name: string, make: (path: string) => void): string {
  const path = join(keptDirectory, name);
  if (existsSync(path)) return path;
  mkdirSync(keptDirectory, { recursive: true });
  rmSync(`${path}.new`, { force: true });
  make(`${path}.new`);
  renameSync(`${path}.new`, path);
  return path;
}

/** The 131 MB reference: 230,000 rows, one index whose order has nothing to do with the table's. In WAL mode. */
export function referenceDatabase(): string {
  return kept("reference-1.db", (path) => {
    using db = new DatabaseSync(path);
    db.exec(`
      PRAGMA synchronous=OFF;
      CREATE TABLE rows(id INTEGER PRIMARY KEY, key INTEGER, body TEXT);
      WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 230000)
        INSERT INTO rows SELECT id, id * 2654435761 % 4294967296,
          hex(randomblob(160 + id % 60)) || printf('%.*c', 158, 'x') FROM n;
      CREATE INDEX rows_by_key ON rows(key);
      PRAGMA journal_mode=WAL;
    `);
  });
}

/** The same rows, with the index filled along with the table: its pages lie all over the file, in no order. In WAL mode. */
export function scatteredDatabase(): string {
  return kept("scattered-1.db", (path) => {
    using db = new DatabaseSync(path);
    db.exec(`
      PRAGMA synchronous=OFF;
      CREATE TABLE rows(id INTEGER PRIMARY KEY, key INTEGER, body TEXT);
      CREATE INDEX rows_by_key ON rows(key);
      WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 230000)
        INSERT INTO rows SELECT id, id * 2654435761 % 4294967296,
          hex(randomblob(160 + id % 60)) || printf('%.*c', 158, 'x') FROM n;
      PRAGMA journal_mode=WAL;
    `);
  });
}

/** 1 GB, or so many bytes, of the sample tables, over and over. In WAL mode. */
export function largeDatabase(sizeBytes = 1e9): string {
  return kept(`large-${sizeBytes / 1e9}.db`, (path) => {
    createSampleDatabase(path, { sizeBytes: 60e6 });
    using db = new DatabaseSync(path);
    db.exec("PRAGMA synchronous=OFF");
    const tables = ["users", "orders", "items", "events", "sessions", "files"];
    for (let round = 1; statSync(path).size < sizeBytes; round++) {
      for (const table of tables)
        db.exec(`CREATE TABLE ${table}_${round} AS SELECT * FROM ${table}`);
    }
    db.exec("PRAGMA journal_mode=WAL");
  });
}
