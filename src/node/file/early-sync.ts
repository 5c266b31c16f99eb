// Has the disk work while a large file is still being written, so that the sync at its end has little left to do.
import type { OpenFile } from "../../core/base/file-system.ts";

/** After this much the next sync begins. */
const everyBytes = 16 * 1024 * 1024;

/** Syncs one file now and then, in the background, one sync at a time. It proves nothing: the writer syncs at the end. */
export class EarlySync {
  readonly #file: OpenFile;
  #unsyncedBytes = 0;
  #running: Promise<void> | undefined;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** Tells that so many bytes more have been written. */
  wrote(sizeBytes: number): void {
    this.#unsyncedBytes += sizeBytes;
    if (this.#unsyncedBytes < everyBytes || this.#running !== undefined) return;
    this.#unsyncedBytes = 0;
    this.#running = this.#sync();
    // The system reports a failed write to one sync only: it is kept for `finish`.
    this.#running.catch(() => undefined);
  }

  /** Resolves when no sync is under way; throws if one failed. Call it before the last sync. */
  async finish(): Promise<void> {
    await this.#running;
  }

  async #sync(): Promise<void> {
    await this.#file.sync();
    this.#running = undefined;
  }
}
