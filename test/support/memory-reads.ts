// Objects in memory for readers that stand still: each request is on record and can be made to fail.
import type {
  BlockingContent,
  BlockingReads,
  GetNowOptions,
} from "../../src/core/store/blocking-reads.ts";
import { HeadwaterError } from "../../src/core/base/errors.ts";
import { collectBytes } from "../../src/core/base/bytes.ts";
import type { ObjectInfo, ObjectStore } from "../../src/core/store/object-store.ts";

export interface ReadNow extends GetNowOptions {
  readonly key: string;
}

export class MemoryReads implements BlockingReads {
  readonly requests: ReadNow[] = [];
  /** Called before each read. */
  beforeRead: (request: ReadNow) => void = () => undefined;
  readonly #objects = new Map<string, { readonly info: ObjectInfo; readonly bytes: Uint8Array }>();

  /** A copy of what a store holds now. */
  static async of(store: ObjectStore): Promise<MemoryReads> {
    const reads = new MemoryReads();
    for await (const { key } of store.list({ prefix: "" })) {
      const content = await store.get(key, {});
      if (content === undefined) continue;
      reads.#objects.set(key, { info: content.info, bytes: await collectBytes(content.body) });
    }
    return reads;
  }

  getNow(key: string, options: GetNowOptions): BlockingContent | undefined {
    const request = { key, ...options };
    this.requests.push(request);
    this.beforeRead(request);
    const object = this.#objects.get(key);
    if (object === undefined) return undefined;
    const { offset = 0, length = Infinity, etag } = options;
    if (etag !== undefined && etag !== object.info.etag) {
      throw new HeadwaterError("store/changed", `${key} is another version`);
    }
    const { etag: version, sizeBytes } = object.info;
    return { etag: version, sizeBytes, bytes: object.bytes.slice(offset, offset + length) };
  }

  /** Flips bits of one byte. */
  damage(key: string, offset: number): void {
    const bytes = this.#objects.get(key)?.bytes ?? new Uint8Array(0);
    bytes[offset] = (bytes[offset] ?? 0) ^ 0x11;
  }

  delete(key: string): void {
    this.#objects.delete(key);
  }
}
