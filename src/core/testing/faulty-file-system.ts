// A file system that fails, fills up or ends the process when a test says so.
import type { FileSystem, OpenFile } from "../base/file-system.ts";

export interface FileCall {
  /** `"open"`, `"rename"`, ... and for open files `"file.write"`, `"file.sync"`, ... */
  readonly name: string;
  /** What is acted upon; of a rename or link, the new name. */
  readonly path: string;
  /** Counted from 1 over all calls. */
  readonly index: number;
}

/**
 * `fileSystem`, asking `before` ahead of every call. It may return a platform code (`"ENOSPC"`, `"EIO"`): the call
 * fails with it and does nothing. Or it may end the process, which then dies with exactly that call undone.
 */
export function createFaultyFileSystem(
  fileSystem: FileSystem,
  before: (call: FileCall) => string | undefined,
): FileSystem {
  let calls = 0;
  async function call<T>(name: string, path: string, work: () => Promise<T>): Promise<T> {
    calls += 1;
    const code = before({ name, path, index: calls });
    if (code !== undefined) {
      throw Object.assign(new Error(`${code}: injected fault, ${name} '${path}'`), { code });
    }
    return work();
  }

  const wrapFile = (file: OpenFile, path: string): OpenFile => ({
    read: (into, position) => call("file.read", path, () => file.read(into, position)),
    write: (bytes, position) => call("file.write", path, () => file.write(bytes, position)),
    truncate: (sizeBytes) => call("file.truncate", path, () => file.truncate(sizeBytes)),
    sync: () => call("file.sync", path, () => file.sync()),
    status: () => call("file.status", path, () => file.status()),
    setTimes: (mtimeMs) => call("file.setTimes", path, () => file.setTimes(mtimeMs)),
    setOwnership: (ownership) =>
      call("file.setOwnership", path, () => file.setOwnership(ownership)),
    // Closing always happens: a descriptor that stays open would only disturb the rest of the test.
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file.close(),
  });

  return {
    open: (path, mode) =>
      call("open", path, async () => wrapFile(await fileSystem.open(path, mode), path)),
    status: (path) => call("status", path, () => fileSystem.status(path)),
    list: (path) => call("list", path, () => fileSystem.list(path)),
    rename: (from, to) => call("rename", to, () => fileSystem.rename(from, to)),
    link: (from, to) => call("link", to, () => fileSystem.link(from, to)),
    unlink: (path) => call("unlink", path, () => fileSystem.unlink(path)),
    makeDirectory: (path) => call("makeDirectory", path, () => fileSystem.makeDirectory(path)),
    syncDirectory: (path) => call("syncDirectory", path, () => fileSystem.syncDirectory(path)),
    setDirectoryOwnership: (path, ownership) =>
      call("setDirectoryOwnership", path, () => fileSystem.setDirectoryOwnership(path, ownership)),
  };
}
