// A file system that stops working at its n-th change, as a machine does that loses power there.
import type { FileSystem, OpenFile } from "../../src/core/base/file-system.ts";

/** Thrown by the call that the crash hits, and by every call after it. */
export class CrashError extends Error {
  override readonly name = "CrashError";
}

export interface FaultyFileSystem extends FileSystem {
  /** Calls so far that change something or make it durable. */
  readonly changes: number;
}

/** `real` until `crashAt` changes have been made (1 = the first fails). The failing call does nothing. */
export function crashingFileSystem(real: FileSystem, crashAt: number): FaultyFileSystem {
  let changes = 0;
  const change = async <T>(work: () => Promise<T>): Promise<T> => {
    changes++;
    if (changes >= crashAt) throw new CrashError(`the machine stopped at change ${crashAt}`);
    return work();
  };
  const wrapFile = (file: OpenFile): OpenFile => ({
    ...file,
    write: (bytes, position) => change(() => file.write(bytes, position)),
    truncate: (sizeBytes) => change(() => file.truncate(sizeBytes)),
    sync: () => change(() => file.sync()),
    setOwnership: (ownership) => change(() => file.setOwnership(ownership)),
  });
  return {
    ...real,
    get changes() {
      return changes;
    },
    open: async (path, mode) =>
      mode === "read"
        ? real.open(path, mode)
        : change(async () => wrapFile(await real.open(path, mode))),
    rename: (from, to) => change(() => real.rename(from, to)),
    link: (from, to) => change(() => real.link(from, to)),
    unlink: (path) => change(() => real.unlink(path)),
    makeDirectory: (path) => change(() => real.makeDirectory(path)),
    syncDirectory: (path) => change(() => real.syncDirectory(path)),
  };
}
