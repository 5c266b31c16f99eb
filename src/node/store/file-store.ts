// Objects as files under one directory. An object appears under its name only when all of its bytes are on stable
// storage, and is never changed in place: `link` publishes where the name must be new, `rename` otherwise.
import { posix } from "node:path";
import { mapConcurrent, orAborted, throwIfAborted } from "../../core/base/async.ts";
import type { Waiting } from "../../core/base/async.ts";
import type { Clock } from "../../core/base/clock.ts";
import { HeadwaterError, hasCode, platformCode } from "../../core/base/errors.ts";
import type { FileOwnership, FileStatus, FileSystem } from "../../core/base/file-system.ts";
import type { Random } from "../../core/base/random.ts";
import { readBody } from "../../core/store/object-body.ts";
import { checkKey, isKey } from "../../core/store/object-key.ts";
import type {
  CopyOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectContent,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoreFeatures,
} from "../../core/store/object-store.ts";
import { StoreDirectories } from "./file-directories.ts";
import { fileWork } from "./file-errors.ts";
import { hasHardLinks, lacksLinks } from "./file-links.ts";
import { listFiles } from "./file-listing.ts";
import { FileWriter, readFile } from "./file-writer.ts";
import { StoreMemory } from "./store-memory.ts";
import {
  isTemporaryName,
  sweepTemporaryFiles,
  temporaryName,
  thisWriter,
} from "./temporary-files.ts";

const fileConcurrency = 16;

export interface FileStoreOptions {
  /** Absolute path; made, with its parents, at the first put. */
  readonly root: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  /** Of new files; directories follow. Without it they are readable by their owner alone. */
  readonly ownership?: FileOwnership | undefined;
  /** Of other stores on this file system. */
  readonly memory?: StoreMemory | undefined;
}

/** A store on a file system. Several processes may share one directory. */
export function createFileStore(options: FileStoreOptions): ObjectStore {
  return new FileStore(options);
}

class FileStore implements ObjectStore {
  readonly url: string;
  readonly #root: string;
  readonly #options: FileStoreOptions;
  readonly #fileSystem: FileSystem;
  readonly #directories: StoreDirectories;
  readonly #memory: StoreMemory;
  readonly #writer = thisWriter();
  #features: Promise<StoreFeatures> | undefined;

  constructor(options: FileStoreOptions) {
    this.#root = options.root.length > 1 ? options.root.replace(/\/+$/, "") : options.root;
    this.#options = options;
    this.#fileSystem = options.fileSystem;
    this.url = `file://${this.#root}`;
    const { fileSystem, clock, memory = new StoreMemory() } = options;
    this.#memory = memory;
    this.#directories = new StoreDirectories({
      root: this.#root,
      fileSystem,
      ownership: options.ownership,
      known: memory.directories,
      // What cannot be swept, a leftover of another user for instance, must not keep anybody from writing.
      sweep: (directory) =>
        sweepTemporaryFiles(directory, { fileSystem, writer: this.#writer, clock }).catch(
          () => undefined,
        ),
    });
  }

  async features(options: Waiting): Promise<StoreFeatures> {
    if (this.#features === undefined) {
      const features = this.#probe();
      this.#features = features;
      // A failure says nothing about the next time.
      features.catch(() => {
        this.#features = undefined;
      });
    }
    return orAborted(this.#features, options);
  }

  async put(key: string, body: ObjectBody, options: PutOptions): Promise<ObjectInfo> {
    checkKey(key);
    throwIfAborted(options);
    const { condition } = options;
    const path = this.#path(key);
    if (isTemporaryName(posix.basename(key))) {
      throw new HeadwaterError("store/failed", `${key} is a name that unfinished files have.`);
    }
    if (typeof condition === "object") throw cannot(key, "replace an object only if unchanged");
    return this.#withTemporaryFile(path, async (temporary) => {
      const info = await this.#write(temporary, key, body, options);
      throwIfAborted(options);
      await fileWork(path, this.#publish(temporary, path, condition === "absent"));
      return info;
    });
  }

  async get(key: string, options: GetOptions): Promise<ObjectContent | undefined> {
    throwIfAborted(options);
    if (!isKey(key)) return undefined;
    const path = this.#path(key);
    const file = await fileWork(path, ifPresent(this.#fileSystem.open(path, "read")));
    if (file === undefined) return undefined;
    try {
      const status = await file.status();
      if (status.kind === "file") {
        const info = toInfo(key, status);
        checkVersion(info, path, options);
        const start = Math.min(options.offset ?? 0, info.sizeBytes);
        const end = Math.min(start + (options.length ?? Infinity), info.sizeBytes);
        return { info, body: readFile(file, { start, end, path }, options) };
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return undefined;
  }

  async head(key: string, options: Waiting): Promise<ObjectInfo | undefined> {
    throwIfAborted(options);
    if (!isKey(key)) return undefined;
    const path = this.#path(key);
    const status = await fileWork(path, this.#fileSystem.status(path));
    return status?.kind === "file" ? toInfo(key, status) : undefined;
  }

  async *list(options: ListOptions): AsyncIterable<ObjectInfo> {
    for await (const { key, status } of listFiles(this.#fileSystem, this.#root, options)) {
      yield toInfo(key, status);
    }
  }

  async delete(keys: readonly string[], options: Waiting): Promise<void> {
    throwIfAborted(options);
    const directories = new Set<string>();
    await mapConcurrent(keys.filter(isKey), fileConcurrency, async (key) => {
      throwIfAborted(options);
      const path = this.#path(key);
      if (await fileWork(path, this.#unlink(path))) directories.add(posix.dirname(path));
    });
    for (const directory of directories) {
      await fileWork(directory, ifPresent(this.#fileSystem.syncDirectory(directory)));
    }
  }

  /** A second name for the same bytes: files of a store never change in place. */
  async copy(from: string, to: string, options: CopyOptions): Promise<ObjectInfo | undefined> {
    checkKey(to);
    const source = this.#path(from);
    const info = await this.head(from, options);
    if (info === undefined) return undefined;
    checkVersion(info, source, options);
    if (from === to) return info;
    const path = this.#path(to);
    return this.#withTemporaryFile(path, async (temporary) => {
      const made = await fileWork(path, this.#fileSystem.link(source, temporary));
      if (!made) throw new HeadwaterError("store/unavailable", `${temporary} exists already.`);
      const status = await fileWork(path, this.#fileSystem.status(temporary));
      const copied = status === undefined ? info : toInfo(to, status);
      checkVersion(copied, source, options);
      await fileWork(path, this.#publish(temporary, path, false));
      return copied;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #path(key: string): string {
    return posix.join(this.#root, key);
  }

  /** Gives `work` the path of a file to be, beside `path`, and sees to it that nothing of that name is left. */
  async #withTemporaryFile<T>(path: string, work: (temporary: string) => Promise<T>): Promise<T> {
    const directory = posix.dirname(path);
    await fileWork(directory, this.#directories.prepare(directory));
    const temporary = posix.join(directory, temporaryName(this.#writer, this.#options));
    try {
      return await work(temporary);
    } catch (error) {
      if (hasCode(error, "store/unavailable")) this.#directories.forget();
      throw error;
    } finally {
      // After `rename` there is nothing to remove, after `link` a second name. What cannot be removed is swept later.
      await this.#fileSystem.unlink(temporary).catch(() => undefined);
    }
  }

  async #write(
    temporary: string,
    key: string,
    body: ObjectBody,
    options: PutOptions,
  ): Promise<ObjectInfo> {
    await using file = await fileWork(temporary, this.#fileSystem.open(temporary, "create-new"));
    const writer = new FileWriter(file, body.sizeBytes);
    try {
      for await (const chunk of readBody(body, key, options)) {
        await fileWork(temporary, writer.add(chunk));
      }
      await fileWork(temporary, writer.finish());
    } finally {
      await writer.settle();
    }
    const { ownership, clock, random } = this.#options;
    if (ownership !== undefined) await fileWork(temporary, file.setOwnership(ownership));
    // A random fraction of the millisecond keeps two versions apart that have equal times, sizes and even inodes.
    const timeMs = (options.timestampMs ?? clock.nowMs()) + 0.1 + 0.8 * random.float();
    await fileWork(temporary, file.setTimes(timeMs));
    await fileWork(temporary, file.sync());
    return toInfo(key, await fileWork(temporary, file.status()));
  }

  async #publish(temporary: string, path: string, createOnly: boolean): Promise<void> {
    const directory = posix.dirname(path);
    if (!createOnly) {
      await this.#fileSystem.rename(temporary, path);
      await this.#fileSystem.syncDirectory(directory);
      return;
    }
    const isNew = await this.#link(temporary, path);
    // Also when it existed: whoever made it may have died before this, and the caller may find that it is its own.
    await this.#fileSystem.syncDirectory(directory);
    if (!isNew) {
      throw new HeadwaterError("store/exists", `${path} exists already.`, { data: { path } });
    }
  }

  async #link(temporary: string, path: string): Promise<boolean> {
    try {
      return await this.#fileSystem.link(temporary, path);
    } catch (error) {
      if (lacksLinks(error)) throw cannot(path, "create files exclusively (it has no hard links)");
      throw error;
    }
  }

  /** `false` if there is no file of that name. */
  async #unlink(path: string): Promise<boolean> {
    try {
      return await this.#fileSystem.unlink(path);
    } catch (error) {
      if (platformCode(error) === "ENOTDIR") return false;
      if ((await this.#fileSystem.status(path))?.kind === "directory") return false;
      throw error;
    }
  }

  /** Hard links are what create-only and copy stand on. */
  async #probe(): Promise<StoreFeatures> {
    const nextName = (): string => temporaryName(this.#writer, this.#options);
    const probe = { nextName, known: this.#memory.links };
    const hasLinks = await fileWork(this.#root, hasHardLinks(this.#fileSystem, this.#root, probe));
    return {
      createOnly: hasLinks,
      // Comparing and replacing in one step would need a lock between processes, and one that a crash releases.
      replaceIfUnchanged: false,
      listsExactTimes: true,
      copy: hasLinks,
    };
  }
}

function toInfo(key: string, status: FileStatus): ObjectInfo {
  return {
    key,
    sizeBytes: status.sizeBytes,
    etag: `${status.inode}-${status.sizeBytes}-${status.mtimeNs}`,
    timestampMs: status.mtimeMs,
    isExactTime: true,
  };
}

/** Of what was opened or linked, not of what has its name by now. */
function checkVersion(info: ObjectInfo, path: string, { etag }: Pick<GetOptions, "etag">): void {
  if (etag === undefined || etag === info.etag) return;
  throw new HeadwaterError("store/changed", `${path} is not the version expected.`);
}

function cannot(where: string, what: string): HeadwaterError {
  return new HeadwaterError("store/failed", `${where}: this file system cannot ${what}.`);
}

async function ifPresent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(platformCode(error) ?? "")) return undefined;
    throw error;
  }
}
