// What is known of the output: `<output>-follow`, a SQLite database of our own, held locked so that no second follower can
// work on the same output. It holds the position (TXID, and by what the file is recognized) and the page-checksum table.
// Before a transaction on the output the position after it is noted as `pending`; which of the two is true afterwards,
// whatever happened in between, the change counter in the output itself says. Beside the two it holds the states that the
// output has been at lately (recent-states.ts). Losing it costs one full image.
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { toHex64 } from "../../core/base/bytes.ts";
import { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { ChainState } from "../../core/replica/chain-state.ts";
import { type Txid, formatTxid, parseTxid } from "../../core/ltx/txid.ts";
import type { OutputIdentity } from "./output-file.ts";
import { type Descent, RecentStates } from "./recent-states.ts";
import { openStateDatabase, removeStateDatabase } from "./state-database.ts";

/** Path of the file beside an output. */
export function stateFileOf(output: string): string {
  return `${output}-follow`;
}

/** Page checksums in one row. */
const chunkPages = 512;

/** The newest file of the replica that is in the output. */
export interface AppliedFile {
  readonly key: string;
  readonly etag: string;
}

/** Where the output stands in the history of the replica. */
export interface Position {
  readonly txid: Txid;
  /** When that TXID was captured. */
  readonly timestampMs: number;
  readonly file: AppliedFile;
  /** The newest full image that went into it. */
  readonly imageTxid: Txid;
  /** Whether the last file proved it. Litestream's files cannot. */
  readonly isProved: boolean;
  /** In page 1 of the output. */
  readonly changeCounter: number;
  /** What page 1 had in the place of what we put there (`takePatchedBytes`). */
  readonly patched: Uint8Array;
}

/** A position with the table of page checksums, and by what the output is recognized, if that came to be noted. */
export interface KnownState {
  readonly position: Position;
  readonly checksums: PageChecksums;
  readonly identity: OutputIdentity | undefined;
}

/** What is noted of a change before it is made. */
export interface NotedChange {
  /** Pages whose checksums are others than those noted before; all above `keep` are. */
  readonly changed: Uint32Array;
  readonly keep: number;
  readonly descent: Descent;
}

export class StateFile implements Disposable {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** The states that the output has been at. */
  readonly recent: RecentStates;

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path;
    this.#database = database;
    this.recent = new RecentStates(database);
  }

  /** Opens or makes it and holds it. One that is damaged is made anew. Throws `follow/locked` or `restore/output`. */
  static open(path: string): StateFile {
    return new StateFile(path, openStateDatabase(path));
  }

  /** Forgets whichever of the two positions is not that of an output with this change counter; `undefined` if neither is. */
  resolve(changeCounter: number): KnownState | undefined {
    const row = this.#prepare("SELECT kind FROM position WHERE change_counter = ?").get(
      changeCounter,
    );
    if (row?.["kind"] === "pending") this.#adoptPending(undefined);
    else this.#dropPending();
    return row === undefined ? undefined : this.last();
  }

  /** What the output was when it was last known. */
  last(): KnownState | undefined {
    const row = this.#prepare("SELECT * FROM position WHERE kind = 'current'").get();
    const txid = parseTxid(String(row?.["txid"]));
    const imageTxid = parseTxid(String(row?.["image_txid"]));
    if (row === undefined || txid === undefined || imageTxid === undefined) return undefined;
    const checksums = this.#loadChecksums(Number(row["page_size"]), Number(row["page_count"]));
    // It is a cache: believed only if it adds up.
    if (toHex64(checksums.databaseChecksum) !== row["database_checksum"]) return undefined;
    const { patched, inode } = row;
    return {
      position: {
        txid,
        timestampMs: Number(row["timestamp_ms"]),
        file: { key: String(row["file_key"]), etag: String(row["file_etag"]) },
        imageTxid,
        isProved: row["is_proved"] === 1,
        changeCounter: Number(row["change_counter"]),
        patched: patched instanceof Uint8Array ? patched : new Uint8Array(0),
      },
      checksums,
      identity:
        typeof inode === "string"
          ? {
              inode: BigInt(inode),
              sizeBytes: Number(row["size_bytes"]),
              mtimeNs: BigInt(String(row["mtime_ns"])),
            }
          : undefined,
    };
  }

  /** True when an output was ever followed with it. */
  get isUsed(): boolean {
    return this.#prepare("SELECT 1 FROM position").get() !== undefined;
  }

  /** Notes what the output will be, before it is touched. Durable. */
  begin(position: Position, state: ChainState, { changed, keep, descent }: NotedChange): void {
    const chunks = new Set<number>();
    for (const pgno of changed) chunks.add(chunkOf(pgno));
    for (let chunk = chunkOf(Math.max(keep, 1)); chunk <= chunkOf(state.commit); chunk++) {
      if (state.commit !== keep) chunks.add(chunk);
    }
    this.#durably(() => {
      this.#clearPending();
      this.#insertPosition("pending", position, state);
      const insert = this.#prepare("INSERT INTO pending_checksums VALUES(?, ?)");
      for (const chunk of chunks) insert.run(chunk, wordsOf(state, chunk));
      this.recent.begin(position.txid, state.databaseChecksum, descent);
    });
  }

  /** The transaction is committed: what was noted is true. If that is lost, the output still says it. */
  settle(identity: OutputIdentity): void {
    this.#adoptPending(identity);
  }

  /** The output is known to be what the state says, byte for byte, and looks so from outside. */
  recognize(identity: OutputIdentity): void {
    this.#prepare(
      "UPDATE position SET inode = ?, size_bytes = ?, mtime_ns = ? WHERE kind = 'current'",
    ).run(...identityValues(identity));
  }

  /** Forgets everything for an output that is about to be put in place. Durable. */
  replace(position: Position, state: ChainState): void {
    this.#durably(() => {
      this.#database.exec(
        "DELETE FROM position; DELETE FROM checksums; DELETE FROM pending_checksums",
      );
      this.#insertPosition("current", position, state);
      this.recent.clear();
      this.recent.begin(position.txid, state.databaseChecksum, { base: 0n, changed: undefined });
      this.recent.adopt();
      const insert = this.#prepare("INSERT INTO checksums VALUES(?, ?)");
      for (let chunk = 0; chunk * chunkPages < state.commit; chunk++) {
        insert.run(chunk, wordsOf(state, chunk));
      }
    });
  }

  /** Closes and deletes it. */
  remove(): void {
    this[Symbol.dispose]();
    removeStateDatabase(this.#path);
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #loadChecksums(pageSize: number, pageCount: number): PageChecksums {
    const table = new PageChecksums(pageSize);
    for (const row of this.#prepare(
      "SELECT chunk, words FROM checksums ORDER BY chunk",
    ).iterate()) {
      const { words } = row;
      const first = Number(row["chunk"]) * chunkPages + 1;
      if (!(words instanceof Uint8Array) || words.length !== 8 * chunkPages) continue;
      const checksums = new BigUint64Array(words.slice().buffer);
      const count = Math.min(chunkPages, pageCount - first + 1);
      const pgnos = Uint32Array.from({ length: chunkPages }, (_, i) => first + i);
      if (count > 0) table.setMany(pgnos, 0, count, checksums);
    }
    table.truncate(pageCount);
    return table;
  }

  #insertPosition(kind: "current" | "pending", position: Position, state: ChainState): void {
    const { txid, timestampMs, file, imageTxid, isProved, changeCounter, patched } = position;
    this.#prepare(
      `INSERT INTO position(kind, txid, timestamp_ms, file_key, file_etag, image_txid, is_proved, change_counter,
         patched, page_size, page_count, database_checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      kind,
      formatTxid(txid),
      Math.round(timestampMs),
      file.key,
      file.etag,
      formatTxid(imageTxid),
      isProved ? 1 : 0,
      changeCounter,
      patched,
      state.pageSize,
      state.commit,
      toHex64(state.databaseChecksum),
    );
  }

  #adoptPending(identity: OutputIdentity | undefined): void {
    this.#transaction(() => {
      this.#database.exec(
        `INSERT OR REPLACE INTO checksums SELECT * FROM pending_checksums;
         DELETE FROM position WHERE kind = 'current';
         UPDATE position SET kind = 'current' WHERE kind = 'pending';
         DELETE FROM checksums
           WHERE chunk * ${chunkPages} >= (SELECT page_count FROM position WHERE kind = 'current')`,
      );
      this.recent.adopt();
      this.#clearPending();
      if (identity !== undefined) this.recognize(identity);
    });
  }

  #dropPending(): void {
    this.#transaction(() => this.#clearPending());
  }

  #clearPending(): void {
    this.#database.exec(
      "DELETE FROM position WHERE kind = 'pending'; DELETE FROM pending_checksums",
    );
    this.recent.drop();
  }

  /** What must not be lost by a power cut: the output may be ahead of everything else that is noted. */
  #durably(work: () => void): void {
    this.#database.exec("PRAGMA synchronous = FULL");
    try {
      this.#transaction(work);
    } finally {
      this.#database.exec("PRAGMA synchronous = NORMAL");
    }
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function chunkOf(pgno: number): number {
  return Math.floor((pgno - 1) / chunkPages);
}

function wordsOf(state: ChainState, chunk: number): Uint8Array {
  const words = new BigUint64Array(chunkPages);
  for (let i = 0; i < chunkPages; i++) words[i] = state.pageChecksum(chunk * chunkPages + i + 1);
  return new Uint8Array(words.buffer);
}

function identityValues({ inode, sizeBytes, mtimeNs }: OutputIdentity): [string, number, string] {
  return [inode.toString(), sizeBytes, mtimeNs.toString()];
}
