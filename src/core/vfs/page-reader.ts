// One open database file as SQLite's VFS needs it, whatever the SQLite: a snapshot for as long as SQLite holds its shared
// lock, reads by offset, and a page 1 that says what SQLite must hear of a read-only copy.
import { lockPgno } from "../base/page.ts";
import { databaseHeaderSizeBytes, patchDatabaseHeader } from "../sqlite/database-header.ts";

/** A database at one moment. Immutable. */
export interface DatabaseView {
  readonly pageSize: number;
  /** Size in pages. */
  readonly commit: number;
  /** 32 bits; two views with different pages have different ones. */
  readonly generation: number;
}

export interface PageReaderOptions<View extends DatabaseView> {
  /** The view that a transaction gets which begins now: the newest, or always the same one. */
  readonly view: () => View;
  /** Fills `into`, one page, with a page of the view. Blocks until it has it. Throws if it cannot be had. */
  readonly readPage: (view: View, pgno: number, into: Uint8Array) => void;
}

/** Offsets in page 1 between which SQLite reads at the start of each transaction. */
const counterOffset = 24;

/** What one `sqlite3_file` stands on. Used by one thread. */
export class PageReader<View extends DatabaseView = DatabaseView> {
  /**
   * Is told the number of each page that SQLite reads. SQLite asks only for pages that it has not cached itself: to hear of
   * every page that a statement uses, give it a `changeCounter` of its own.
   */
  onPage: ((pgno: number) => void) | undefined;
  /** What page 1 says instead of the view's generation. Another value than last time empties SQLite's page cache. */
  changeCounter: number | undefined;
  readonly #options: PageReaderOptions<View>;
  #pinned: View | undefined;
  #firstPage:
    | { readonly view: View; readonly counter: number; readonly bytes: Uint8Array }
    | undefined;
  #page = new Uint8Array(0);

  constructor(options: PageReaderOptions<View>) {
    this.#options = options;
  }

  /** The view that reads are served from while a transaction lasts. */
  get pinned(): View | undefined {
    return this.#pinned;
  }

  /** SQLite takes its shared lock: from here on every read is of one view. */
  pin(): void {
    this.#pinned ??= this.#options.view();
  }

  /** SQLite gives up its last lock. */
  unpin(): void {
    this.#pinned = undefined;
  }

  /** Of the whole file. */
  sizeBytes(): number {
    const { commit, pageSize } = this.#current();
    return commit * pageSize;
  }

  /** Fills `into` from `offset` on; what lies beyond the end of the file is zeros. `false` if there was such a part. */
  read(offset: number, into: Uint8Array): boolean {
    const view = this.#current();
    const { pageSize } = view;
    const available = view.commit * pageSize - offset;
    const isWhole = into.length <= available;
    const wanted = isWhole ? into : into.subarray(0, Math.max(0, available));
    if (!isWhole) into.fill(0, wanted.length);
    for (let at = 0; at < wanted.length;) {
      const pgno = Math.floor((offset + at) / pageSize) + 1;
      const inPage = (offset + at) % pageSize;
      const part = wanted.subarray(at, at + pageSize - inPage);
      this.#readPart(view, pgno, inPage, part);
      at += part.length;
    }
    return isWhole;
  }

  #current(): View {
    return this.#pinned ?? this.#options.view();
  }

  #readPart(view: View, pgno: number, inPage: number, into: Uint8Array): void {
    const { pageSize } = view;
    if (pgno === 1) {
      // SQLite looks at the counter whenever a transaction begins; that is not a page that a statement reads.
      if (into.length > databaseHeaderSizeBytes || inPage < counterOffset) this.onPage?.(1);
      into.set(this.#patchedFirstPage(view).subarray(inPage, inPage + into.length));
      return;
    }
    this.onPage?.(pgno);
    if (pgno === lockPgno(pageSize)) {
      into.fill(0);
    } else if (into.length === pageSize) {
      this.#options.readPage(view, pgno, into);
    } else {
      if (this.#page.length !== pageSize) this.#page = new Uint8Array(pageSize);
      this.#options.readPage(view, pgno, this.#page);
      into.set(this.#page.subarray(inPage, inPage + into.length));
    }
  }

  #patchedFirstPage(view: View): Uint8Array {
    const counter = this.changeCounter ?? view.generation;
    const known = this.#firstPage;
    if (known?.view === view && known.counter === counter) return known.bytes;
    const bytes = new Uint8Array(view.pageSize);
    if (known?.view === view) bytes.set(known.bytes);
    else this.#options.readPage(view, 1, bytes);
    patchDatabaseHeader(bytes, { pageCount: view.commit, changeCounter: counter });
    this.#firstPage = { view, counter, bytes };
    return bytes;
  }
}

/** A reader of views of any kind, as SQLite needs it. */
export type OpenPageReader = Pick<PageReader, keyof PageReader>;
