// The states that an output has been at lately, in the state file: the database checksum at each TXID, and which pages led to
// it. When its replica has gone another way, they tell the last TXID that both have in common, and what the output has
// changed since. Losing them costs a full image, nothing else.
import type { DatabaseSync } from "node:sqlite";
import { toHex64 } from "../../core/base/bytes.ts";
import { type Txid, formatTxid, parseTxid } from "../../core/ltx/txid.ts";

/** States that are remembered. Their page numbers take 16 MB at most. */
const maxStates = 512;
/** More pages in one change are not remembered one by one. */
const maxChangedPages = 8192;

export const recentStatesSchema = `
  CREATE TABLE IF NOT EXISTS recent(
    txid TEXT PRIMARY KEY, database_checksum TEXT NOT NULL, floor INTEGER, pgnos BLOB) STRICT;
  CREATE TABLE IF NOT EXISTS pending_recent(
    txid TEXT PRIMARY KEY, database_checksum TEXT NOT NULL, floor INTEGER, pgnos BLOB, base TEXT NOT NULL) STRICT;`;

/** Pages that may have become others: these, and all above `floor`. */
export interface ChangedPages {
  readonly pgnos: Uint32Array;
  readonly floor: number;
}

/** From which earlier state another one has come. */
export interface Descent {
  /** TXID of the earlier state; 0n: it is not known, or of another history. What lies after it counts no more. */
  readonly base: bigint;
  /** `undefined`: may be all. */
  readonly changed: ChangedPages | undefined;
}

export interface RecentState {
  readonly txid: Txid;
  readonly databaseChecksum: bigint;
  /** Since the state before it. */
  readonly changed: ChangedPages | undefined;
}

/** The tables. Every call is part of a transaction of its caller's. */
export class RecentStates {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Newest first. */
  list(): readonly RecentState[] {
    const rows = this.#database.prepare("SELECT * FROM recent ORDER BY txid DESC").all();
    return rows.flatMap(({ txid: text, database_checksum: checksum, floor, pgnos }) => {
      const txid = parseTxid(String(text));
      if (txid === undefined) return [];
      // No pages at all may have come back as NULL.
      const bytes = pgnos instanceof Uint8Array ? pgnos.slice() : new Uint8Array(0);
      const changed = { pgnos: new Uint32Array(bytes.buffer), floor: Number(floor) };
      return [
        {
          txid,
          databaseChecksum: BigInt(`0x${String(checksum)}`),
          changed: floor === null ? undefined : changed,
        },
      ];
    });
  }

  /** Notes a state that the output may soon be at. */
  begin(txid: Txid, databaseChecksum: bigint, { base, changed }: Descent): void {
    this.drop();
    const isListed = changed !== undefined && changed.pgnos.length <= maxChangedPages;
    this.#database
      .prepare("INSERT INTO pending_recent VALUES(?, ?, ?, ?, ?)")
      .run(
        formatTxid(txid),
        toHex64(databaseChecksum),
        isListed ? changed.floor : null,
        isListed ? new Uint8Array(changed.pgnos.slice().buffer) : null,
        toHex64(base),
      );
  }

  /** The output is at it. */
  adopt(): void {
    // A state that is its own base is known already, and better.
    this.#database.exec(
      `DELETE FROM recent WHERE txid > (SELECT base FROM pending_recent);
       INSERT OR IGNORE INTO recent SELECT txid, database_checksum, floor, pgnos FROM pending_recent;
       DELETE FROM recent WHERE txid <= (SELECT txid FROM recent ORDER BY txid DESC LIMIT 1 OFFSET ${maxStates});`,
    );
    this.drop();
  }

  /** The output does not get to it. */
  drop(): void {
    this.#database.exec("DELETE FROM pending_recent");
  }

  /** Forgets all. */
  clear(): void {
    this.#database.exec("DELETE FROM recent; DELETE FROM pending_recent");
  }
}
