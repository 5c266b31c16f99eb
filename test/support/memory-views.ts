// Databases in memory as views for a page reader: what a replica's views are, without a replica.
import type { DatabaseView, PageReaderOptions } from "../../src/core/vfs/page-reader.ts";

export interface MemoryView extends DatabaseView {
  readonly bytes: Uint8Array;
}

/** A series of database files, of which one is the newest; counts the pages that are read. */
export class MemoryViews implements PageReaderOptions<MemoryView> {
  readonly views: readonly MemoryView[];
  /** Index of the newest. */
  newest = 0;
  pagesRead = 0;
  /** Thrown by each read while it is set. */
  failure: Error | undefined;

  constructor(files: readonly Uint8Array[], pageSize: number) {
    this.views = files.map((bytes, index) => ({
      pageSize,
      commit: bytes.length / pageSize,
      generation: index + 1,
      bytes,
    }));
  }

  readonly view = (): MemoryView => this.at(this.newest);

  readonly readPage = (view: MemoryView, pgno: number, into: Uint8Array): void => {
    if (this.failure !== undefined) throw this.failure;
    this.pagesRead++;
    const start = (pgno - 1) * view.pageSize;
    into.set(view.bytes.subarray(start, start + view.pageSize));
  };

  at(index: number): MemoryView {
    const view = this.views[index];
    if (view === undefined) throw new Error(`there is no view ${index}`);
    return view;
  }
}
