// The transactions captured since the last batch, reduced to the last image of each page. Images stay in the WAL
// while the guard keeps it from being reset, and move into memory before the guard may let that happen.
import { assert, must } from "../../core/base/assert.ts";
import { lockPgno } from "../../core/base/page.ts";
import { databasePlace, type PagePlace } from "./page-reader.ts";

/** One transaction as it lies in the WAL. */
export interface CapturedTransaction {
  /** Page numbers of consecutive frames; borrowed. */
  readonly pgnos: Uint32Array;
  readonly firstFrame: number;
  /** Database size in pages afterwards. */
  readonly commit: number;
}

/** Pages by number, each with the place of its newest image. */
export class PendingPages {
  readonly #lockPgno: number;
  readonly #placeByPgno = new Map<number, PagePlace>();
  #highestPgno = 0;
  #inWal = 0;
  #commit: number;
  /** The smallest size since the last batch: pages above it hold nothing the replica has. */
  #smallestCommit: number;
  #needsDatabaseFile = false;
  #transactions = 0;
  #frames = 0;

  /** `commit` is the size in pages that the replica's next batch starts from. */
  constructor(commit: number, pageSize: number) {
    this.#commit = commit;
    this.#smallestCommit = commit;
    this.#lockPgno = lockPgno(pageSize);
  }

  get commit(): number {
    return this.#commit;
  }

  get transactions(): number {
    return this.#transactions;
  }

  /** Frames noted, also those that newer ones replaced. */
  get frames(): number {
    return this.#frames;
  }

  get pageCount(): number {
    return this.#placeByPgno.size;
  }

  /** Pages whose image is in the WAL or the database file, not in memory. */
  get unreadPageCount(): number {
    return this.#inWal;
  }

  /** The image of a page was in the database file and nowhere else when growth was filled in. */
  get needsDatabaseFile(): boolean {
    return this.#needsDatabaseFile;
  }

  add({ pgnos, firstFrame, commit }: CapturedTransaction): void {
    for (let i = 0; i < pgnos.length; i++) {
      const pgno = must(pgnos[i], "page number");
      if (pgno !== this.#lockPgno) this.#set(pgno, firstFrame + i);
    }
    if (commit < this.#highestPgno) this.#dropAbove(commit);
    this.#commit = commit;
    this.#smallestCommit = Math.min(this.#smallestCommit, commit);
    this.#transactions++;
    this.#frames += pgnos.length;
  }

  /**
   * Pages by which the database grew but which SQLite did not write (free pages, mostly). They must be in the batch,
   * as SQLite would read them: a reader of the replica has nothing for them.
   */
  missingGrowth(): number[] {
    const missing: number[] = [];
    for (let pgno = this.#smallestCommit + 1; pgno <= this.#commit; pgno++) {
      if (pgno !== this.#lockPgno && !this.#placeByPgno.has(pgno)) missing.push(pgno);
    }
    return missing;
  }

  /** Adds the missing growth: every page must be given a place. */
  fillGrowth(placeByPgno: ReadonlyMap<number, PagePlace>): void {
    for (const [pgno, place] of placeByPgno) {
      assert(!this.#placeByPgno.has(pgno), "growth is only what was not written");
      this.#set(pgno, place);
      if (place === databasePlace) this.#needsDatabaseFile = true;
    }
    this.#smallestCommit = this.#commit;
  }

  placeOf(pgno: number): PagePlace {
    return must(this.#placeByPgno.get(pgno), "place of a pending page");
  }

  /** All page numbers, ascending. */
  pgnos(): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(this.#placeByPgno.keys()).sort();
  }

  /** Page numbers whose image is not in memory, ascending. */
  unreadPgnos(): Uint32Array<ArrayBuffer> {
    const pgnos: number[] = [];
    for (const [pgno, place] of this.#placeByPgno) if (typeof place === "number") pgnos.push(pgno);
    return Uint32Array.from(pgnos).sort();
  }

  /** Gives a page that is pending already its image in memory. */
  keepImage(pgno: number, image: Uint8Array): void {
    this.#set(pgno, image);
  }

  #set(pgno: number, place: PagePlace): void {
    const before = this.#placeByPgno.get(pgno);
    if (typeof before === "number") this.#inWal--;
    if (typeof place === "number") this.#inWal++;
    this.#placeByPgno.set(pgno, place);
    if (pgno > this.#highestPgno) this.#highestPgno = pgno;
  }

  #dropAbove(commit: number): void {
    for (const [pgno, place] of this.#placeByPgno) {
      if (pgno <= commit) continue;
      if (typeof place === "number") this.#inWal--;
      this.#placeByPgno.delete(pgno);
    }
    this.#highestPgno = commit;
  }
}
