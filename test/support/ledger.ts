// A database whose every prefix can be proved. Each transaction appends one row to `ledger`: its number, a payload, the
// running CRC-32 of all payloads so far, and how many documents with how many bytes exist after it. So any state of
// the database shows by itself which transactions it holds, and that it holds each of them whole.
import { randomFillSync } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Random } from "../../src/core/base/random.ts";

export const ledgerSchema = `
  CREATE TABLE IF NOT EXISTS ledger(
    seq INTEGER PRIMARY KEY, payload TEXT NOT NULL, sum INTEGER NOT NULL,
    document_count INTEGER NOT NULL, document_bytes INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS documents(
    id INTEGER PRIMARY KEY, author TEXT NOT NULL, title TEXT NOT NULL, body BLOB NOT NULL, revision INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS documents_by_author ON documents(author, revision);
  CREATE TABLE IF NOT EXISTS settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`;

/** The running sum after one more payload. */
export function nextSum(sum: number, payload: string): number {
  return crc32(payload, sum);
}

export interface LedgerHead {
  readonly seq: number;
  readonly sum: number;
  readonly documentCount: number;
  readonly documentBytes: number;
}

const emptyLedger: LedgerHead = { seq: 0, sum: 0, documentCount: 0, documentBytes: 0 };

/** Narrows a row of `ledger`. */
export function toLedgerHead(row: Readonly<Record<string, unknown>> | undefined): LedgerHead {
  if (row === undefined) return emptyLedger;
  return {
    seq: Number(row["seq"]),
    sum: Number(row["sum"]),
    documentCount: Number(row["document_count"]),
    documentBytes: Number(row["document_bytes"]),
  };
}

export interface LedgerOptions {
  readonly random: Random;
  /** Changes to documents per transaction; each touches about two pages. */
  readonly changesPerTransaction: number;
  /** Above this many documents a change deletes one instead of adding one. */
  readonly maxDocuments: number;
}

/** Appends transactions. The schema must exist. Several writers may share one database. */
export class LedgerWriter {
  readonly #db: DatabaseSync;
  readonly #options: LedgerOptions;
  readonly #sql: Readonly<
    Record<"head" | "append" | "pick" | "insert" | "update" | "delete" | "set", StatementSync>
  >;
  readonly #noise = randomFillSync(new Uint8Array(64 * 1024));

  constructor(db: DatabaseSync, options: LedgerOptions) {
    this.#db = db;
    this.#options = options;
    this.#sql = {
      head: db.prepare("SELECT * FROM ledger ORDER BY seq DESC LIMIT 1"),
      append: db.prepare("INSERT INTO ledger VALUES(?, ?, ?, ?, ?)"),
      pick: db.prepare("SELECT id, length(body) AS size FROM documents WHERE id >= ? LIMIT 1"),
      insert: db.prepare("INSERT INTO documents(author, title, body, revision) VALUES(?, ?, ?, ?)"),
      update: db.prepare("UPDATE documents SET body = ?, revision = ? WHERE id = ?"),
      delete: db.prepare("DELETE FROM documents WHERE id = ?"),
      set: db.prepare("INSERT OR REPLACE INTO settings VALUES(?, ?)"),
    };
  }

  /** One transaction with `changes` changes beside its ledger row. Returns its number, or 0 if it was rolled back. */
  transaction({ changes = this.#options.changesPerTransaction, rollback = false } = {}): number {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const before = toLedgerHead(this.#sql.head.get());
      const seq = before.seq + 1;
      let { documentCount, documentBytes } = before;
      for (let i = 0; i < changes; i++) {
        const delta = this.#change(seq, documentCount);
        documentCount += delta.count;
        documentBytes += delta.bytes;
      }
      const payload = `${seq}:${this.#number(2 ** 32).toString(16)}`;
      this.#sql.append.run(
        seq,
        payload,
        nextSum(before.sum, payload),
        documentCount,
        documentBytes,
      );
      this.#db.exec(rollback ? "ROLLBACK" : "COMMIT");
      return rollback ? 0 : seq;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #change(seq: number, count: number): { readonly count: number; readonly bytes: number } {
    const kind = this.#options.random.float();
    if (kind < 0.1) {
      this.#sql.set.run(`key-${this.#number(50)}`, `value of ${seq}`);
      return { count: 0, bytes: 0 };
    }
    const full = count >= this.#options.maxDocuments;
    if (count === 0 || (kind < 0.55 && !full)) {
      const body = this.#body();
      this.#sql.insert.run(
        `author-${this.#number(100)}`,
        `Document of transaction ${seq}`,
        body,
        seq,
      );
      return { count: 1, bytes: body.length };
    }
    // Ids grow and old ones are deleted, so a random start finds some document or, past the newest, the first one.
    const row = this.#sql.pick.get(this.#number(seq * 2)) ?? this.#sql.pick.get(0);
    const id = Number(row?.["id"]);
    const size = Number(row?.["size"]);
    if (kind > 0.9 || full) {
      this.#sql.delete.run(id);
      return { count: -1, bytes: -size };
    }
    const body = this.#body();
    this.#sql.update.run(body, seq, id);
    return { count: 0, bytes: body.length - size };
  }

  /** Mostly small, now and then long enough for overflow pages; half of it compresses. */
  #body(): Uint8Array {
    const length = this.#options.random.float() < 0.02 ? 9_000 : 20 + this.#number(400);
    const body = new Uint8Array(length).fill(0x61);
    body.set(this.#noise.subarray(this.#number(1_000)).subarray(0, length >> 1));
    return body;
  }

  #number(below: number): number {
    return Math.floor(this.#options.random.float() * below);
  }
}
