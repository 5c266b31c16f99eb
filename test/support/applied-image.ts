// What a reader of the replica would have: an image, then every batch applied to it.
import { DatabaseSync } from "node:sqlite";
import { lockPgno } from "../../src/core/base/page.ts";
import type { CapturedBatch, PageSource } from "../../src/node/capture/capture-types.ts";

/** A database in memory, made from what capture hands out. */
export class AppliedImage {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** Starts over with every page of `source`, read in pieces. */
  replace(source: PageSource): void {
    const lock = lockPgno(source.pageSize);
    const all = Array.from({ length: source.commit }, (_, i) => i + 1).filter((p) => p !== lock);
    this.#bytes = new Uint8Array(source.commit * source.pageSize);
    this.#write(source, Uint32Array.from(all));
  }

  /** Starts over with what another image holds. */
  replaceBy(other: AppliedImage): void {
    this.#bytes = other.#bytes.slice();
  }

  apply(batch: CapturedBatch): void {
    const sizeBytes = batch.commit * batch.pageSize;
    if (sizeBytes < this.#bytes.length) this.#bytes = this.#bytes.slice(0, sizeBytes);
    if (sizeBytes > this.#bytes.length) {
      // Growth without a page in the batch must not go unnoticed: it is poisoned.
      const next = new Uint8Array(sizeBytes).fill(0xee);
      next.set(this.#bytes);
      this.#bytes = next;
    }
    this.#write(batch, batch.pgnos);
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** Rows of a query on the image. */
  all(sql: string): readonly Record<string, unknown>[] {
    const copy = this.#bytes.slice();
    // A database in memory cannot be in WAL mode.
    copy.fill(1, 18, 20);
    using database = new DatabaseSync(":memory:");
    database.deserialize(copy);
    return database.prepare(sql).all();
  }

  #write(source: PageSource, pgnos: Uint32Array): void {
    const perRead = 97;
    const pages = new Uint8Array(perRead * source.pageSize);
    for (let from = 0; from < pgnos.length; from += perRead) {
      const count = Math.min(perRead, pgnos.length - from);
      source.readPages(pgnos, from, count, pages);
      for (let i = 0; i < count; i++) {
        const page = pages.subarray(i * source.pageSize, (i + 1) * source.pageSize);
        this.#bytes.set(page, ((pgnos[from + i] ?? 0) - 1) * source.pageSize);
      }
    }
  }
}
