// A frozen set of pending pages, on its way into an L0 file.
import { assert } from "../../core/base/assert.ts";
import type { CapturedBatch, CapturePosition } from "./capture-types.ts";
import type { PageReader } from "./page-reader.ts";
import type { PendingPages } from "./pending.ts";

interface PendingBatchOptions {
  readonly reader: PageReader;
  /** End of the batch before. */
  readonly start: CapturePosition;
  /** End of the batch. */
  readonly position: CapturePosition;
  readonly pageSize: number;
  readonly onRelease: () => void;
}

/** The pages of `pending`, to which nothing is added any more. */
export class PendingBatch implements CapturedBatch {
  readonly #pending: PendingPages;
  readonly #options: PendingBatchOptions;
  #isReleased = false;

  readonly pgnos: Uint32Array;

  constructor(pending: PendingPages, options: PendingBatchOptions) {
    this.#pending = pending;
    this.#options = options;
    this.pgnos = pending.pgnos();
  }

  get pageSize(): number {
    return this.#options.pageSize;
  }

  get commit(): number {
    return this.#pending.commit;
  }

  get start(): CapturePosition {
    return this.#options.start;
  }

  get position(): CapturePosition {
    return this.#options.position;
  }

  /** Some of its pages lie in the database file alone, which must not change before they are read. */
  get needsDatabaseFile(): boolean {
    return this.#pending.needsDatabaseFile;
  }

  get transactions(): number {
    return this.#pending.transactions;
  }

  readPages(pgnos: Uint32Array, from: number, count: number, into: Uint8Array): void {
    assert(!this.#isReleased, "the batch was released");
    this.#options.reader.read(
      {
        pgnos,
        from,
        count,
        placeOf: (pgno) => this.#pending.placeOf(pgno),
        salts: this.#options.position,
      },
      into,
    );
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#options.onRelease();
  }
}
