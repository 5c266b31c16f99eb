// Writes pages into a database file while the next ones are decoded.
import type { OpenFile } from "../../core/base/file-system.ts";
import type { PageBatch } from "../../core/ltx/decoder.ts";
import { EarlySync } from "../file/early-sync.ts";

/** Batches on their way to the file at the same time. */
const slotCount = 4;

/** The pages of one file of a plan must not repeat; call `drain` before those of the next. */
export class PageWriter {
  readonly #file: OpenFile;
  readonly #pageSize: number;
  readonly #slots: { bytes: Uint8Array; busy: Promise<unknown> }[] = [];
  #nextSlot = 0;
  readonly #earlySync: EarlySync;

  constructor(file: OpenFile, pageSize: number) {
    this.#file = file;
    this.#pageSize = pageSize;
    this.#earlySync = new EarlySync(file);
    for (let i = 0; i < slotCount; i++) {
      this.#slots.push({ bytes: new Uint8Array(0), busy: Promise.resolve() });
    }
  }

  /** Copies the batch and starts writing it; neighbouring pages in one write. Throws what an earlier write threw. */
  async write({ count, pgnos, pages }: PageBatch): Promise<void> {
    const slot = this.#slots[this.#nextSlot];
    if (slot === undefined) return;
    this.#nextSlot = (this.#nextSlot + 1) % slotCount;
    await slot.busy;
    if (slot.bytes.length < pages.length) slot.bytes = new Uint8Array(pages.length);
    slot.bytes.set(pages);
    const writes: Promise<void>[] = [];
    for (let from = 0; from < count;) {
      const first = pgnos[from] ?? 0;
      let to = from + 1;
      while (to < count && pgnos[to] === first + (to - from)) to++;
      const run = slot.bytes.subarray(from * this.#pageSize, to * this.#pageSize);
      writes.push(this.#file.write(run, (first - 1) * this.#pageSize));
      from = to;
    }
    slot.busy = Promise.all(writes);
    slot.busy.catch(() => undefined);
    this.#earlySync.wrote(count * this.#pageSize);
  }

  /** Resolves when everything written so far is in the file. */
  async drain(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.busy));
  }

  /** Resolves when everything written so far is on stable storage. */
  async sync(): Promise<void> {
    await this.drain();
    await this.#earlySync.finish();
    await this.#file.sync();
  }

  /** Resolves when nothing touches the file any more, whatever failed. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#slots.map((slot) => slot.busy), this.#earlySync.finish()]);
  }
}
