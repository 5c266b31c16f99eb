// Events of the directories in which databases lie: one watch for each directory, however many databases it holds. The
// directory is watched because a watch on a file would die with the file.
import { basename, dirname } from "node:path";
import { DirectoryWatcher } from "../file/directory-watcher.ts";

/** One listener's part of a watch. Dispose it to hear nothing more. */
export interface DatabaseWatch extends Disposable {
  /** Watches anew if the directory is another one than before, or could not be watched. */
  refresh(): void;
}

const watches = new Map<string, DirectoryWatch>();

/**
 * Calls `onEvent` whenever something happens to the database at `path` or a file of it (-wal, -shm, -journal), and when
 * the system does not say to which file. A directory that is missing or cannot be watched makes no events.
 */
export function watchDatabase(path: string, onEvent: () => void): DatabaseWatch {
  const directory = dirname(path);
  let shared = watches.get(directory);
  if (shared === undefined) {
    shared = new DirectoryWatch(directory);
    watches.set(directory, shared);
  }
  const { refresh, remove } = shared.add(basename(path), onEvent);
  return {
    refresh,
    [Symbol.dispose]: () => {
      if (remove()) watches.delete(directory);
    },
  };
}

class DirectoryWatch {
  readonly #watcher: DirectoryWatcher;
  readonly #listenersByName = new Map<string, Set<() => void>>();

  constructor(directory: string) {
    this.#watcher = new DirectoryWatcher(directory, (name) => this.#onEvent(name));
    this.#watcher.refresh();
  }

  /** `remove` says whether that was the last listener; then the watch has ended. */
  add(
    name: string,
    onEvent: () => void,
  ): { readonly refresh: () => void; readonly remove: () => boolean } {
    // Two listeners of one database may be one function.
    const listener = (): void => onEvent();
    const listeners = this.#listenersByName.get(name) ?? new Set();
    this.#listenersByName.set(name, listeners.add(listener));
    return {
      refresh: () => this.#watcher.refresh(),
      remove: () => {
        listeners.delete(listener);
        if (listeners.size === 0 && this.#listenersByName.get(name) === listeners)
          this.#listenersByName.delete(name);
        if (this.#listenersByName.size > 0) return false;
        this.#watcher.close();
        return true;
      },
    };
  }

  #onEvent(name: string | null): void {
    if (name === null) {
      for (const listeners of this.#listenersByName.values()) call(listeners);
      return;
    }
    const database = name.replace(/-(?:wal|shm|journal)$/u, "");
    // A database may have a name that ends like that.
    for (const one of new Set([name, database])) call(this.#listenersByName.get(one));
  }
}

function call(listeners: ReadonlySet<() => void> | undefined): void {
  for (const listener of listeners ?? []) listener();
}
