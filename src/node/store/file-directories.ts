// Directories of a file store: made when first written to, with the store's ownership, durable before the first
// object in them is acknowledged, and swept of dead writers' leftovers once.
import { posix } from "node:path";
import { Mutex } from "../../core/base/async.ts";
import { platformCode } from "../../core/base/errors.ts";
import type { FileOwnership, FileSystem } from "../../core/base/file-system.ts";
import type { KnownDirectories } from "./store-memory.ts";

export class StoreDirectories {
  readonly #root: string;
  readonly #fileSystem: FileSystem;
  readonly #ownership: FileOwnership | undefined;
  readonly #sweep: (directory: string) => Promise<void>;
  readonly #known: KnownDirectories;
  readonly #making = new Mutex();

  constructor(options: {
    readonly root: string;
    readonly fileSystem: FileSystem;
    readonly ownership: FileOwnership | undefined;
    readonly sweep: (directory: string) => Promise<void>;
    readonly known: KnownDirectories;
  }) {
    this.#root = options.root;
    this.#fileSystem = options.fileSystem;
    this.#ownership = options.ownership;
    this.#sweep = options.sweep;
    this.#known = options.known;
  }

  /** Resolves when `directory` exists and will after a power cut. Free of cost when it did before. */
  async prepare(directory: string): Promise<void> {
    if (this.#known.isReady(directory)) return;
    await this.#making.run(async () => {
      if (this.#known.isReady(directory)) return;
      await this.#make(directory);
      await this.#sweep(directory);
      this.#known.noteReady(directory);
    });
  }

  /** Somebody removed directories underneath: look again at the next `prepare`. */
  forget(): void {
    this.#known.forget();
  }

  async #make(directory: string): Promise<void> {
    if (this.#known.isDurable(directory)) return;
    await this.#makeDurable(directory);
    this.#known.noteDurable(directory);
  }

  async #makeDurable(directory: string): Promise<void> {
    const parent = posix.dirname(directory);
    if (parent === directory) return;
    const isOurs = directory === this.#root || directory.startsWith(`${this.#root}/`);
    if ((await this.#fileSystem.status(directory)) === undefined) {
      await this.#make(parent);
      await this.#fileSystem.makeDirectory(directory);
      if (this.#ownership !== undefined) {
        await this.#fileSystem.setDirectoryOwnership(
          directory,
          toDirectoryOwnership(this.#ownership),
        );
      }
      await this.#fileSystem.syncDirectory(parent);
      return;
    }
    // It may have been made a moment ago by somebody who has not synced it yet.
    if (!isOurs) return;
    await this.#make(parent);
    await this.#syncIfReadable(parent);
  }

  async #syncIfReadable(directory: string): Promise<void> {
    try {
      await this.#fileSystem.syncDirectory(directory);
    } catch (error) {
      // A directory above the root that we may pass through but not read was there before us.
      if (platformCode(error) !== "EACCES" || directory.startsWith(this.#root)) throw error;
    }
  }
}

/** Whoever may read the files may also search and list the directories. */
function toDirectoryOwnership({ mode, uid, gid }: FileOwnership): FileOwnership {
  return { mode: mode | ((mode & 0o444) >> 2), uid, gid };
}
