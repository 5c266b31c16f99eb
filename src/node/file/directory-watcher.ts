// Tells when something happens in one directory. Events can be lost and a directory can be replaced, so whoever listens
// also calls `refresh` now and then.
import { statSync, watch, type FSWatcher } from "node:fs";

export type DirectoryEvent = "rename" | "change";

export class DirectoryWatcher implements Disposable {
  readonly #directory: string;
  readonly #onEvent: (name: string | null, event: DirectoryEvent) => void;
  #watcher: FSWatcher | undefined;
  #inode: bigint | undefined;

  /** `onEvent` gets the name in the directory, null when the system does not say. Nothing is watched before `refresh`. */
  constructor(directory: string, onEvent: (name: string | null, event: DirectoryEvent) => void) {
    this.#directory = directory;
    this.#onEvent = onEvent;
  }

  /** Watches the directory, anew if it is another one than before. A missing one is watched once it is there. */
  refresh(): void {
    const inode = statSync(this.#directory, { bigint: true, throwIfNoEntry: false })?.ino;
    if (inode !== undefined && inode === this.#inode) return;
    this.close();
    if (inode === undefined) return;
    try {
      const watcher = watch(this.#directory, (event, name) => this.#onEvent(name, event));
      // Without events (no inotify watches left, say) the listener's own looks go on.
      watcher.on("error", () => watcher.close());
      this.#watcher = watcher;
      this.#inode = inode;
    } catch {
      // Tried again by the next refresh.
    }
  }

  /** Stops watching until the next `refresh`. */
  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#inode = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
