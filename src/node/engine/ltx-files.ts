// LTX files in the state directory: how they get their names, and how they are read.
import { dirname } from "node:path";
import { HeadwaterError, platformCode } from "../../core/base/errors.ts";
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "../../core/ltx/header.ts";
import type { LtxHeader } from "../../core/ltx/header.ts";
import type { ObjectBody, ReadOptions } from "../../core/store/object-store.ts";
import type { StateOwnership } from "./state-directory.ts";

/** An LTX file on local disk. */
export interface LocalFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/** The bytes of an LTX file; each chunk is borrowed until the next is asked for. */
export type LtxChunks = AsyncIterable<Uint8Array>;

const readChunkBytes = 1 << 20;

export class LtxFiles {
  readonly fileSystem: FileSystem;
  readonly ownership: StateOwnership;

  constructor(fileSystem: FileSystem, ownership: StateOwnership) {
    this.fileSystem = fileSystem;
    this.ownership = ownership;
  }

  /** Makes one directory, which belongs to whom the database belongs. */
  async makeDirectory(path: string): Promise<void> {
    await this.fileSystem.makeDirectory(path);
    await this.fileSystem.setDirectoryOwnership(path, this.ownership.directory);
  }

  /**
   * Writes a file whose name is there only when its bytes are on the disk, and what `alongside` writes too. When it throws,
   * or the process dies before the rename, the name is as it was.
   */
  async create(
    path: string,
    chunks: LtxChunks,
    alongside: () => Promise<void> = async () => undefined,
  ): Promise<LocalFile> {
    const temporary = `${path}.tmp`;
    try {
      // The disk syncs two files in little more time than one.
      const [sizeBytes] = await allDone([this.write(temporary, chunks), alongside()]);
      await this.fileSystem.rename(temporary, path);
      await this.fileSystem.syncDirectory(dirname(path));
      return { path, sizeBytes };
    } catch (error) {
      await this.fileSystem.unlink(temporary).catch(() => false);
      throw error;
    }
  }

  /** Writes and fsyncs `path` in place; returns its size. */
  async write(path: string, chunks: LtxChunks): Promise<number> {
    await using file = await this.fileSystem.open(path, "create");
    await file.setOwnership(this.ownership.file);
    let sizeBytes = 0;
    for await (const chunk of chunks) {
      await file.write(chunk, sizeBytes);
      sizeBytes += chunk.length;
    }
    await file.sync();
    return sizeBytes;
  }

  /** Throws `engine/state` if the file is too short for a header. */
  async readHeader(path: string): Promise<LtxHeader> {
    await using open = await this.fileSystem.open(path, "read");
    const bytes = new Uint8Array(ltxHeaderSizeBytes);
    if ((await open.read(bytes, 0)) !== ltxHeaderSizeBytes) throw damaged(path);
    return decodeHeader(bytes);
  }

  /** The bytes of a file, to put or to compare. Reading throws `engine/state` if there are fewer. */
  body({ path, sizeBytes }: LocalFile): ObjectBody {
    return { sizeBytes, open: (options) => this.#read({ path, sizeBytes }, options) };
  }

  async *#read(
    { path, sizeBytes }: LocalFile,
    { chunkBytes = readChunkBytes }: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    await using open = await this.#openToRead(path);
    const chunk = new Uint8Array(Math.min(chunkBytes, sizeBytes));
    for (let at = 0; at < sizeBytes;) {
      const count = await open.read(chunk, at);
      if (count === 0) throw damaged(path, new Error(`It ends after ${at} bytes.`));
      yield chunk.subarray(0, count);
      at += count;
    }
  }

  async #openToRead(path: string): Promise<OpenFile> {
    try {
      return await this.fileSystem.open(path, "read");
    } catch (error) {
      if (platformCode(error) === "ENOENT") throw damaged(path, error);
      throw error;
    }
  }
}

/** The error for a staged file whose bytes are not what was staged. */
export function damaged(path: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError(
    "engine/state",
    `The staged file ${path} is damaged. It is set aside, and a full image is taken instead.`,
    { data: { path }, cause },
  );
}

/** Like `Promise.all`, but when it throws nothing is under way any more. */
async function allDone<T extends readonly unknown[]>(work: {
  readonly [Index in keyof T]: Promise<T[Index]>;
}): Promise<T> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
