// A reader that goes through b-trees as SQLite does, over a view whose store answers after a while: it counts the pages it
// had to wait for. Time is virtual, so the counts are the same on any machine.
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { childPgnos, decodeBtreePage, readBtreeCell } from "../../src/core/sqlite/btree.ts";
import type { VirtualClock } from "../../src/core/testing/virtual-clock.ts";
import type { FrameCache } from "../../src/core/view/frame-cache.ts";
import type { View } from "../../src/core/view/view.ts";
import { temporaryDirectory } from "./temporary.ts";

export interface SampleDatabase {
  readonly bytes: Uint8Array;
  readonly rows: number;
  /** Root pages. */
  readonly table: number;
  readonly index: number;
}

/** A table and an index on it whose leaves lie all over the file. */
export function sampleDatabase({ rows = 40_000, pageSize = 4096 } = {}): SampleDatabase {
  using directory = temporaryDirectory();
  const path = directory.file("sample.db");
  const db = new DatabaseSync(path);
  db.exec(
    `PRAGMA page_size=${pageSize}; CREATE TABLE t (id INTEGER PRIMARY KEY, k, v); CREATE INDEX t_k ON t (k)`,
  );
  const insert = db.prepare("INSERT INTO t VALUES (?, ?, ?)");
  db.exec("BEGIN");
  for (let n = 0; n < rows; n++) {
    const key = ((n * 7_919) % rows).toString(16).padStart(24, "0");
    insert.run(n, key, `${(n * 2_654_435_761) % 2 ** 32} ${"value ".repeat(40 + (n % 13))}`);
  }
  db.exec("COMMIT");
  const roots = db.prepare("SELECT rootpage FROM sqlite_schema ORDER BY name").all();
  db.close();
  const [table = 0, index = 0] = roots.map((row) => Number(row["rootpage"]));
  return { bytes: new Uint8Array(readFileSync(path)), rows, table, index };
}

export class TreeReader {
  readonly #view: View;
  readonly #cache: FrameCache;
  readonly #clock: VirtualClock;
  /** What reading one page takes. */
  readonly #pageMs: number;
  /** Interior pages, which SQLite keeps in its own cache. */
  readonly #interior = new Map<number, readonly number[]>();
  /** Pages it had to wait for since this was set to 0. */
  waits = 0;

  constructor(
    view: View,
    options: { readonly cache: FrameCache; readonly clock: VirtualClock; readonly pageMs: number },
  ) {
    this.#view = view;
    this.#cache = options.cache;
    this.#clock = options.clock;
    this.#pageMs = options.pageMs;
  }

  /** Lets time pass until the work is done. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const settled = work.finally(() => {
      isDone = true;
    });
    settled.catch(() => undefined);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone) return settled;
      await this.#clock.advance(1);
    }
  }

  /** Leaves below a page, in key order. */
  async scan(pgno: number): Promise<number> {
    const children = await this.#childrenOf(pgno);
    let leaves = children.length === 0 ? 1 : 0;
    for (const child of children) leaves += await this.scan(child);
    return leaves;
  }

  /** True if the leaf that must hold the row has it. */
  async lookUp(root: number, rowid: bigint): Promise<boolean> {
    let pgno = root;
    for (;;) {
      const bytes = await this.#read(pgno);
      const page = decodeBtreePage(bytes, { pgno, usableBytes: bytes.length });
      if (page === undefined) throw new Error(`page ${pgno} is no b-tree page`);
      const rowids = Array.from(page.cellOffsets, (_, n) => readBtreeCell(page, n)?.rowid ?? 0n);
      const children = childPgnos(page) ?? [];
      if (children.length === 0) return rowids.includes(rowid);
      const at = rowids.findIndex((key) => rowid <= key);
      pgno = children[at === -1 ? rowids.length : at] ?? 0;
    }
  }

  async #childrenOf(pgno: number): Promise<readonly number[]> {
    const known = this.#interior.get(pgno);
    if (known !== undefined) return known;
    const bytes = await this.#read(pgno);
    const page = decodeBtreePage(bytes, { pgno, usableBytes: bytes.length });
    if (page === undefined) throw new Error(`page ${pgno} is no b-tree page`);
    const children = [...(childPgnos(page) ?? [])];
    if (children.length > 0) this.#interior.set(pgno, children);
    return children;
  }

  async #read(pgno: number): Promise<Uint8Array> {
    const into = new Uint8Array(this.#cache.pageSize);
    for (;;) {
      const frame = this.#view.map.locate(pgno);
      const found = frame === undefined ? "hit" : this.#cache.read(frame, into);
      if (found === "touch") this.#view.touch(pgno);
      if (found !== "miss") break;
      this.waits++;
      await this.during(this.#view.fetch(pgno, {}));
    }
    await this.#clock.advance(this.#pageMs);
    await new Promise((resolve) => setImmediate(resolve));
    return into;
  }
}
