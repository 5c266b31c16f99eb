// Pages out of the copy that is open, for the SQLite that reads page by page: what it needs is there without a request.
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import type { Copy } from "../hydrate/local-copies.ts";

export class CopyPages implements AsyncDisposable {
  readonly #fileSystem: FileSystem;
  #open: { readonly copy: Copy; readonly file: OpenFile } | undefined;

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** Fills `into` with a page of `copy`, which must stay what it is meanwhile. `false`: it cannot be read. */
  async read(copy: Copy, pgno: number, into: Uint8Array): Promise<boolean> {
    try {
      const file = await this.#fileOf(copy);
      return (await file.read(into, (pgno - 1) * into.length)) === into.length;
    } catch {
      // The store has it, too.
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.file.close();
  }

  async #fileOf(copy: Copy): Promise<OpenFile> {
    if (this.#open?.copy === copy) return this.#open.file;
    await this[Symbol.asyncDispose]();
    const file = await this.#fileSystem.open(copy.path, "read");
    this.#open = { copy, file };
    return file;
  }
}
