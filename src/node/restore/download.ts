// Fetches the files of a plan ahead of the decoder: always the next few pieces, several requests at once. Large files
// come in ranges, small ones whole, and both in one queue, so thousands of small files cost no round trip each
// and memory stays bounded by `parallelism` pieces.
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";

/** The most that one request asks for. */
const pieceSizeBytes = 8 * 1024 * 1024;

export interface DownloadOptions extends Waiting {
  /** Requests at once. At least 1. */
  readonly parallelism: number;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** What must be known of a file to fetch it. */
export interface FetchedFile {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
}

interface Piece {
  readonly file: FetchedFile;
  readonly offset: number;
  readonly length: number;
}

/** The bytes of `files`, in their order. Dispose it to stop what is still being fetched. */
export class Download implements AsyncDisposable {
  readonly #store: ObjectStore;
  readonly #isLocal: boolean;
  readonly #pieces: Iterator<Piece>;
  readonly #parallelism: number;
  readonly #onBytes: ((bytes: number) => void) | undefined;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #queue: Promise<Uint8Array>[] = [];
  #unreadPieces = 0;
  readonly #freeBuffers: Uint8Array<ArrayBuffer>[] = [];

  constructor(
    store: ObjectStore,
    files: readonly FetchedFile[],
    { parallelism, signal, onBytes }: DownloadOptions,
  ) {
    this.#store = store;
    this.#isLocal = store.url.startsWith("file:");
    this.#pieces = piecesOf(files.filter((file) => !this.#isStreamed(file)));
    this.#parallelism = parallelism;
    this.#onBytes = onBytes;
    this.#signal =
      signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
  }

  /**
   * The next file, which must be `file`: call it for each file in turn; what was not read of the one before is dropped.
   * Chunks are borrowed until the next is asked for. Throws `replica/gap` if the object is gone, `store/changed` if it was replaced.
   */
  async *read(file: FetchedFile): AsyncGenerator<Uint8Array, void, undefined> {
    await this.#skipRest();
    if (this.#isStreamed(file)) {
      yield* this.#stream(file);
      return;
    }
    this.#unreadPieces = Math.ceil(file.sizeBytes / pieceSizeBytes);
    while (this.#unreadPieces > 0) {
      this.#fill();
      this.#unreadPieces--;
      const piece = await this.#queue.shift();
      if (piece === undefined) return;
      this.#fill();
      yield piece;
      this.#onBytes?.(piece.length);
      if (piece.buffer.byteLength === pieceSizeBytes) {
        this.#freeBuffers.push(new Uint8Array(toArrayBuffer(piece.buffer)));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#queue);
  }

  /** Large files on this machine: reading ahead is the kernel's work, and each chunk is used where it lies. */
  #isStreamed(file: FetchedFile): boolean {
    return this.#isLocal && file.sizeBytes > pieceSizeBytes;
  }

  async *#stream(file: FetchedFile): AsyncGenerator<Uint8Array, void, undefined> {
    const { etag } = file;
    const content = await this.#store.get(file.key, { etag, signal: this.#signal });
    if (content === undefined) throw goneError(this.#store, file);
    for await (const chunk of content.body) {
      yield chunk;
      this.#onBytes?.(chunk.length);
    }
  }

  async #skipRest(): Promise<void> {
    for (; this.#unreadPieces > 0; this.#unreadPieces--) {
      this.#fill();
      // Whatever became of it, nobody needs it.
      await this.#queue.shift()?.catch(() => undefined);
    }
  }

  #fill(): void {
    while (this.#queue.length < this.#parallelism) {
      const next = this.#pieces.next();
      if (next.done === true) return;
      const fetched = this.#fetch(next.value);
      // A piece may fail long before its turn; whoever takes it from the queue gets the error.
      fetched.catch(() => undefined);
      this.#queue.push(fetched);
    }
  }

  async #fetch({ file, offset, length }: Piece): Promise<Uint8Array> {
    const content = await this.#store.get(file.key, {
      offset,
      length,
      etag: file.etag,
      signal: this.#signal,
    });
    if (content === undefined) throw goneError(this.#store, file);
    const bytes = this.#buffer(length);
    let filled = 0;
    for await (const chunk of content.body) {
      if (filled + chunk.length > length) throw lengthError(file);
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
    if (filled < length) throw lengthError(file);
    return bytes;
  }

  #buffer(length: number): Uint8Array {
    const whole =
      length * 2 > pieceSizeBytes
        ? (this.#freeBuffers.pop() ?? new Uint8Array(pieceSizeBytes))
        : new Uint8Array(length);
    return whole.subarray(0, length);
  }
}

/** A file that the listing showed and that is not there any more. */
function goneError(store: ObjectStore, file: FetchedFile): HeadwaterError {
  return new HeadwaterError(
    "replica/gap",
    `${file.key} was listed at ${store.url} but is gone: it was compacted or deleted meanwhile. Try again.`,
    { data: { key: file.key } },
  );
}

function lengthError(file: FetchedFile): HeadwaterError {
  return new HeadwaterError(
    "store/length",
    `${file.key} did not have the ${file.sizeBytes} bytes that its listing gave. Try again.`,
    { data: { key: file.key, sizeBytes: file.sizeBytes } },
  );
}

function* piecesOf(files: readonly FetchedFile[]): Generator<Piece, void, undefined> {
  for (const file of files) {
    for (let offset = 0; offset < file.sizeBytes; offset += pieceSizeBytes) {
      yield { file, offset, length: Math.min(pieceSizeBytes, file.sizeBytes - offset) };
    }
  }
}

function toArrayBuffer(buffer: ArrayBufferLike): ArrayBuffer {
  // Our own `new Uint8Array(length)` made it, which never shares memory.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return buffer as ArrayBuffer;
}
