// Copies of replicas in the browser's private files (OPFS), one folder for each replica, shared by all tabs of the origin. A
// copy is `<n>.pages`, written first, and `<n>.record`, written last: without its record it is nothing.
// https://fs.spec.whatwg.org/
import type { Waiting } from "../core/base/async.ts";
import { HeadwaterError, messageOf } from "../core/base/errors.ts";
import type { Logger } from "../core/base/log.ts";
import { type Codec, openCodec } from "../core/codec/codec.ts";
import type { PageCopy } from "../core/view/copy-blocks.ts";
import { CopyIndex } from "../core/view/copy-index.ts";
import type { CopyShelf, NewCopy } from "../core/vfs/hydration.ts";

const rootName = "headwater";

interface OpfsShelfOptions {
  /** Whoever gives the same name shares the copy. */
  readonly name: string;
  readonly codec: Codec;
}

class OpfsShelf implements CopyShelf {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #lockName: string;
  readonly #codec: Codec;

  private constructor(folder: FileSystemDirectoryHandle, { codec }: OpfsShelfOptions) {
    this.#folder = folder;
    this.#lockName = `${rootName}/${folder.name}`;
    this.#codec = codec;
  }

  /** Throws `usage/invalid` where a page has no private files. */
  static async open(options: OpfsShelfOptions): Promise<OpfsShelf> {
    if (!globalThis.isSecureContext) {
      throw new HeadwaterError(
        "usage/invalid",
        "A page has private files (OPFS) only if it comes over https or from localhost: leave hydrate out.",
      );
    }
    const root = await navigator.storage.getDirectory();
    const ours = await root.getDirectoryHandle(rootName, { create: true });
    const folderName = await folderNameOf(options.name);
    return new OpfsShelf(await ours.getDirectoryHandle(folderName, { create: true }), options);
  }

  async newest(): Promise<OpfsCopy | undefined> {
    for (const number of (await this.#numbers("record")).toReversed()) {
      const copy = await this.#find(number);
      if (copy !== undefined) return copy;
    }
    return undefined;
  }

  async begin(sizeBytes: number): Promise<NewCopy> {
    const taken = [...(await this.#numbers("record")), ...(await this.#numbers("pages"))];
    const number = Math.max(0, ...taken) + 1;
    const name = nameOf(number, "pages");
    const pages = await this.#folder.getFileHandle(name, { create: true });
    let writer: FileWriter | undefined;
    try {
      writer = await openWriter(pages);
      await writer.truncate(sizeBytes);
    } catch (error) {
      await writer?.abandon();
      await this.#remove(name);
      throw error;
    }
    return this.#newCopy(number, writer);
  }

  async keepOnly(copy: PageCopy | undefined): Promise<void> {
    const kept = copy instanceof OpfsCopy ? copy.number : undefined;
    // Records first: what has none is nothing.
    for (const kind of ["record", "pages"] as const) {
      for (const number of await this.#numbers(kind)) {
        if (number !== kept) await this.#remove(nameOf(number, kind));
      }
    }
  }

  async alone<T>(work: () => Promise<T>, { signal }: Waiting): Promise<T> {
    return navigator.locks.request(this.#lockName, signal === undefined ? {} : { signal }, work);
  }

  isFull(error: unknown): boolean {
    return error instanceof DOMException && error.name === "QuotaExceededError";
  }

  #newCopy(number: number, writer: FileWriter): NewCopy {
    let isCommitted = false;
    let isClosed = false;
    return {
      write: (bytes, offset) => writer.write(bytes, offset),
      commit: async (index) => {
        isClosed = true;
        await writer.close();
        await this.#writeRecord(number, index.encode(this.#codec));
        const copy = await this.#find(number);
        if (copy === undefined) {
          throw new HeadwaterError(
            "view/corrupt-page",
            "The local copy is not what was written. It is thrown away, and made again later.",
          );
        }
        isCommitted = true;
        return copy;
      },
      [Symbol.asyncDispose]: async () => {
        if (isCommitted) return;
        if (!isClosed) await writer.abandon();
        await this.#remove(nameOf(number, "record"));
        await this.#remove(nameOf(number, "pages"));
      },
    };
  }

  async #writeRecord(number: number, bytes: Uint8Array): Promise<void> {
    const handle = await this.#folder.getFileHandle(nameOf(number, "record"), { create: true });
    const writer = await openWriter(handle);
    try {
      await writer.write(bytes, 0);
    } catch (error) {
      await writer.abandon();
      throw error;
    }
    await writer.close();
  }

  /** `undefined` if it is not whole. */
  async #find(number: number): Promise<OpfsCopy | undefined> {
    try {
      const record = await this.#fileOf(nameOf(number, "record"));
      const index = CopyIndex.decode(this.#codec, new Uint8Array(await record.arrayBuffer()));
      const pages = await this.#fileOf(nameOf(number, "pages"));
      if (index === undefined || pages.size !== index.sizeBytes) return undefined;
      return new OpfsCopy(number, index, pages);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  async #fileOf(name: string): Promise<File> {
    return (await this.#folder.getFileHandle(name)).getFile();
  }

  /** Ascending. */
  async #numbers(kind: Kind): Promise<readonly number[]> {
    const numbers: number[] = [];
    for await (const name of this.#folder.keys()) {
      const [number, extension] = name.split(".");
      if (extension === kind) numbers.push(Number(number));
    }
    return numbers.filter(Number.isSafeInteger).sort((a, b) => a - b);
  }

  async #remove(name: string): Promise<void> {
    try {
      await this.#folder.removeEntry(name);
    } catch (error) {
      // What is open somewhere, as in a worker that is about to end, is deleted another time.
      if (!isGone(error) && !isInUse(error)) throw error;
    }
  }
}

/**
 * The shelf of a replica; `undefined` if none is asked for, or the browser has none, which is told. `hydrate`: `"opfs"` for one
 * that goes by the URL, else its name.
 */
export async function openShelf(
  hydrate: string | undefined,
  { url, logger }: { readonly url: string; readonly logger: Logger },
): Promise<CopyShelf | undefined> {
  if (hydrate === undefined) return undefined;
  const { origin, pathname } = new URL(url);
  const name = hydrate === "opfs" ? `url:${origin}${pathname}` : `name:${hydrate}`;
  try {
    return await OpfsShelf.open({ name, codec: openCodec() });
  } catch (error) {
    logger.log("warn", "replica.hydration-failed", { error: messageOf(error) });
    return undefined;
  }
}

type Kind = "pages" | "record";

function nameOf(number: number, kind: Kind): string {
  return `${number}.${kind}`;
}

/** Only workers have it. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** Read as a file of the page's: by any number of readers, without locks, until somebody deletes it. */
class OpfsCopy implements PageCopy {
  readonly number: number;
  readonly index: CopyIndex;
  readonly #file: File;

  constructor(number: number, index: CopyIndex, file: File) {
    this.number = number;
    this.index = index;
    this.#file = file;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return new Uint8Array(await this.#file.slice(offset, offset + length).arrayBuffer());
  }

  readNow(offset: number, length: number): Uint8Array {
    const reader = new FileReaderSync();
    return new Uint8Array(reader.readAsArrayBuffer(this.#file.slice(offset, offset + length)));
  }
}

interface FileWriter {
  truncate(sizeBytes: number): Promise<void>;
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Resolves when everything is durable. */
  close(): Promise<void>;
  abandon(): Promise<void>;
}

/** In a worker by the handle made for that; a page has only the slower way. */
async function openWriter(handle: FileSystemFileHandle): Promise<FileWriter> {
  return hasSyncAccess(handle) ? openSyncWriter(handle) : openStreamWriter(handle);
}

async function openSyncWriter(handle: SyncAccessible): Promise<FileWriter> {
  const access = await handle.createSyncAccessHandle();
  return {
    truncate: async (sizeBytes) => access.truncate(sizeBytes),
    write: async (bytes, offset) => {
      const written = access.write(bytes, { at: offset });
      if (written !== bytes.length) {
        throw new DOMException("Not all of it was written.", "QuotaExceededError");
      }
    },
    close: async () => {
      access.flush();
      access.close();
    },
    abandon: async () => access.close(),
  };
}

async function openStreamWriter(handle: FileSystemFileHandle): Promise<FileWriter> {
  const stream = await handle.createWritable();
  return {
    truncate: (sizeBytes) => stream.truncate(sizeBytes),
    write: (bytes, offset) =>
      stream.write({ type: "write", position: offset, data: bytes.slice() }),
    close: () => stream.close(),
    abandon: () => stream.abort(),
  };
}

/** What a handle has in a dedicated worker. */
interface SyncAccessible {
  createSyncAccessHandle(): Promise<{
    truncate(sizeBytes: number): void;
    write(bytes: Uint8Array, options: { readonly at: number }): number;
    flush(): void;
    close(): void;
  }>;
}

function hasSyncAccess(
  handle: FileSystemFileHandle,
): handle is FileSystemFileHandle & SyncAccessible {
  return "createSyncAccessHandle" in handle;
}

function isGone(error: unknown): boolean {
  return error instanceof DOMException && error.name === "NotFoundError";
}

function isInUse(error: unknown): boolean {
  return error instanceof DOMException && error.name === "NoModificationAllowedError";
}

/** Any text becomes the name of a folder. */
async function folderNameOf(name: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return Array.from(new Uint8Array(hash, 0, 16), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
