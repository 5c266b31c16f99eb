// Collects the newest image of every page that a run of files changes, on disk, until all of them are proved. Only then is
// the output touched.
import type { OpenFile } from "../../core/base/file-system.ts";
import type { PageBatch } from "../../core/ltx/decoder.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { PageSink } from "../restore/apply.ts";
import type { PageChange } from "./page-change.ts";

export class Spool implements PageSink {
  readonly #file: OpenFile;
  readonly #pageSize: number;
  readonly #slotByPgno = new Map<number, number>();
  #slots = 0;
  #keep: number;
  #commit: number;
  #highest = 0;
  #timestampMs = 0;

  /** `file` is empty and open for writing; the output has `commit` pages before the change. */
  constructor(file: OpenFile, { pageSize, commit }: { pageSize: number; commit: number }) {
    this.#file = file;
    this.#pageSize = pageSize;
    this.#keep = commit;
    this.#commit = commit;
  }

  /** The time in the header of the newest file. */
  get timestampMs(): number {
    return this.#timestampMs;
  }

  begin({ commit, timestampMs }: Pick<LtxHeader, "commit" | "timestampMs">): Promise<void> {
    this.#timestampMs = timestampMs;
    this.#commit = commit;
    this.#keep = Math.min(this.#keep, commit);
    if (commit < this.#highest) {
      for (const pgno of this.#slotByPgno.keys()) if (pgno > commit) this.#slotByPgno.delete(pgno);
      this.#highest = commit;
    }
    return Promise.resolve();
  }

  async write({
    count,
    pgnos,
    pages,
  }: Pick<PageBatch, "count" | "pgnos" | "pages">): Promise<void> {
    const size = this.#pageSize;
    for (let from = 0; from < count;) {
      const slot = this.#slotOf(pgnos[from] ?? 0);
      let to = from + 1;
      while (to < count && this.#slotOf(pgnos[to] ?? 0) === slot + (to - from)) to++;
      await this.#file.write(pages.subarray(from * size, to * size), slot * size);
      from = to;
    }
  }

  /** What all of it comes to. Its source is this spool's file. */
  toChange(): PageChange {
    return {
      pageSize: this.#pageSize,
      keep: this.#keep,
      commit: this.#commit,
      pgnos: Uint32Array.from(this.#slotByPgno.keys()).sort(),
      source: this.#file,
      offsetOf: (pgno) => (this.#slotByPgno.get(pgno) ?? 0) * this.#pageSize,
    };
  }

  #slotOf(pgno: number): number {
    let slot = this.#slotByPgno.get(pgno);
    if (slot === undefined) {
      slot = this.#slots++;
      this.#slotByPgno.set(pgno, slot);
      this.#highest = Math.max(this.#highest, pgno);
    }
    return slot;
  }
}
