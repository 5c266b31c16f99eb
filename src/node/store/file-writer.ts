// Writing and reading whole files in large pieces, with the disk and the other side working at the same time.
import type { OpenFile } from "../../core/base/file-system.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { ReadOptions } from "../../core/store/object-store.ts";
import { EarlySync } from "../file/early-sync.ts";

const pieceBytes = 1024 * 1024;

/** Appends borrowed chunks to a file. While one piece is written, the next is filled. */
export class FileWriter {
  readonly #file: OpenFile;
  readonly #earlySync: EarlySync;
  readonly #capacity: number;
  #filling: Uint8Array;
  #spare: Uint8Array | undefined;
  #filledBytes = 0;
  #position = 0;
  #writing: Promise<void> = Promise.resolve();

  /** `sizeBytes`: how much will come, if known. Small files then take small buffers. */
  constructor(file: OpenFile, sizeBytes: number | undefined) {
    this.#file = file;
    this.#earlySync = new EarlySync(file);
    this.#capacity = Math.max(1, Math.min(pieceBytes, sizeBytes ?? pieceBytes));
    this.#filling = new Uint8Array(this.#capacity);
  }

  /** Copies `chunk`. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const count = Math.min(chunk.length - at, this.#capacity - this.#filledBytes);
      this.#filling.set(chunk.subarray(at, at + count), this.#filledBytes);
      this.#filledBytes += count;
      at += count;
      if (this.#filledBytes === this.#capacity) await this.#write();
    }
  }

  /** Resolves when everything is written (not synced). Returns the size. */
  async finish(): Promise<number> {
    await this.#write();
    await this.#writing;
    await this.#earlySync.finish();
    return this.#position;
  }

  /** Resolves when no write is in flight any more, whatever became of it: only then may the file be closed. */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#writing, this.#earlySync.finish()]);
  }

  async #write(): Promise<void> {
    await this.#writing;
    if (this.#filledBytes === 0) return;
    const full = this.#filling;
    this.#earlySync.wrote(this.#filledBytes);
    this.#writing = this.#file.write(full.subarray(0, this.#filledBytes), this.#position);
    // The failure surfaces at the next wait; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
    this.#position += this.#filledBytes;
    this.#filledBytes = 0;
    this.#filling = this.#spare ?? new Uint8Array(this.#capacity);
    this.#spare = full;
  }
}

interface FileRange {
  readonly start: number;
  readonly end: number;
  readonly path: string;
}

/**
 * The bytes `[start, end)` of `file`, reading one piece ahead. Closes the file, also if it is given up before the first
 * piece. Each chunk is borrowed until the next.
 */
export function readFile(
  file: OpenFile,
  range: FileRange,
  options: ReadOptions,
): AsyncIterable<Uint8Array> {
  const pieces = readPieces(file, range, options);
  let isStarted = false;
  const iterator: AsyncIterator<Uint8Array, void, undefined> = {
    next: () => {
      isStarted = true;
      return pieces.next();
    },
    return: async () => {
      // A generator that never ran does not run its `finally` either.
      if (!isStarted) await file.close();
      isStarted = true;
      return pieces.return();
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

async function* readPieces(
  file: OpenFile,
  range: FileRange,
  { signal, chunkBytes = pieceBytes }: ReadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let ahead: Promise<Uint8Array> | undefined;
  try {
    const { start, end, path } = range;
    const size = Math.min(chunkBytes, end - start);
    const buffers = [new Uint8Array(size), new Uint8Array(end - start > size ? size : 0)] as const;
    const readAt = async (position: number, buffer: Uint8Array): Promise<Uint8Array> => {
      const into = buffer.subarray(0, Math.min(buffer.length, end - position));
      if ((await file.read(into, position)) === into.length) return into;
      throw new HeadwaterError("store/length", `${path} was cut off while it was being read.`);
    };
    let [next, other] = buffers;
    for (let at = start; at < end; at += size) {
      const chunk = await (ahead ?? readAt(at, next));
      signal?.throwIfAborted();
      [next, other] = [other, next];
      ahead = at + size < end ? readAt(at + size, next) : undefined;
      ahead?.catch(() => undefined);
      yield chunk;
      signal?.throwIfAborted();
    }
  } finally {
    await ahead?.catch(() => undefined);
    await file.close();
  }
}
