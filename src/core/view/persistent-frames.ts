// Frames kept beyond the life of a process: an interface, and its form in memory. What comes back is decoded and checked like
// bytes from the store, so a damaged cache costs a request, never a wrong page.
import type { Waiting } from "../base/async.ts";

/** A frame for all time: the object it lies in, that object's version, and where. */
export interface FrameIdentity {
  readonly key: string;
  readonly etag: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface PersistentFrames {
  /** The frame as it stands in its file; `undefined` if it is not here. */
  get(frame: FrameIdentity, options: Waiting): Promise<Uint8Array | undefined>;
  /** Takes a frame in. `bytes` are borrowed until it resolves. May drop it at any time. */
  put(frame: FrameIdentity, bytes: Uint8Array, options: Waiting): Promise<void>;
}

/** Frames in memory, those used least recently dropped first. For tests, and where several caches share one process. */
export class MemoryFrames implements PersistentFrames {
  readonly #capacityBytes: number;
  readonly #frames = new Map<string, Uint8Array>();
  #sizeBytes = 0;

  constructor({ capacityBytes }: { readonly capacityBytes: number }) {
    this.#capacityBytes = capacityBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  async get(frame: FrameIdentity): Promise<Uint8Array | undefined> {
    const name = nameOf(frame);
    const bytes = this.#frames.get(name);
    if (bytes === undefined) return undefined;
    this.#frames.delete(name);
    this.#frames.set(name, bytes);
    return bytes;
  }

  async put(frame: FrameIdentity, bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.#capacityBytes) return;
    const name = nameOf(frame);
    this.#sizeBytes += bytes.length - (this.#frames.get(name)?.length ?? 0);
    this.#frames.delete(name);
    this.#frames.set(name, bytes.slice());
    for (const [oldest, { length }] of this.#frames) {
      if (this.#sizeBytes <= this.#capacityBytes) break;
      this.#frames.delete(oldest);
      this.#sizeBytes -= length;
    }
  }
}

function nameOf({ key, etag, offset, sizeBytes }: FrameIdentity): string {
  return JSON.stringify([key, etag, offset, sizeBytes]);
}
