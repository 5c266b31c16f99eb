// Files that a primary has pushed, in memory until the store has what they hold. They are read as if they lay in the store:
// under keys of their own, which no listing shows.
import { HeadwaterError } from "../base/errors.ts";
import { streamOf, toHex64 } from "../base/bytes.ts";
import { openLtx } from "../ltx/decoder.ts";
import type { Codec } from "../codec/codec.ts";
import { formatLtxName } from "../ltx/file-name.ts";
import type { LtxHeader } from "../ltx/header.ts";
import { type ChainFile, type ChainPoint, chainFrom } from "../replica/chain-files.ts";
import type { BlockingReads, GetNowOptions } from "../store/blocking-reads.ts";
import type { ObjectContent, ObjectInfo, ObjectStore } from "../store/object-store.ts";

const keyPrefix = "pushed/";
const defaultMaxBytes = 64 * 1024 * 1024;

/** A file as it came, whole and with its checksum right. */
export interface ReceivedFile {
  readonly header: LtxHeader;
  readonly fileChecksum: bigint;
  readonly bytes: Uint8Array;
}

interface KeptBytes {
  readonly info: ObjectInfo;
  readonly bytes: Uint8Array;
}

/** Reads a whole file. Throws `ltx/*` if it is damaged. */
export async function receiveFile(codec: Codec, bytes: Uint8Array): Promise<ReceivedFile> {
  const reader = await openLtx(codec, streamOf(bytes), { name: "a pushed file" });
  for await (const batch of reader.pages()) void batch;
  return { header: reader.header, fileChecksum: reader.trailer.fileChecksum, bytes };
}

/** Whether the key is one of a pushed file. */
export function isPushedKey(key: string): boolean {
  return key.startsWith(keyPrefix);
}

export class PushedFiles {
  readonly maxBytes: number;
  /** Ascending by TXID. */
  readonly #files: { readonly pushed: ChainFile; readonly bytes: Uint8Array }[] = [];
  #sizeBytes = 0;

  constructor({ maxBytes = defaultMaxBytes }: { readonly maxBytes?: number | undefined } = {}) {
    this.maxBytes = maxBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Ascending by TXID. */
  get files(): readonly ChainFile[] {
    return this.#files.map(({ pushed }) => pushed);
  }

  /** Keeps it, in place of the same one; `undefined` if there is no room for it. */
  add({ header, fileChecksum, bytes }: ReceivedFile): ChainFile | undefined {
    const { minTxid, maxTxid, timestampMs, proof } = header;
    // The checksum tells two files of one TXID apart, from two histories.
    const etag = toHex64(fileChecksum);
    const key = `${keyPrefix}${etag}/${formatLtxName(minTxid, maxTxid)}`;
    const listed = { key, etag, timestampMs, isExactTime: true, sizeBytes: bytes.length };
    const file = { level: 0, minTxid, maxTxid, ...listed };
    const pushed = { file, before: proof?.before ?? 0n, after: proof?.after ?? 0n };
    this.retain((one) => one.file.key !== key);
    if (this.#sizeBytes + bytes.length > this.maxBytes) return undefined;
    this.#files.push({ pushed, bytes });
    this.#files.sort((a, b) => Number(a.pushed.file.maxTxid - b.pushed.file.maxTxid));
    this.#sizeBytes += bytes.length;
    return pushed;
  }

  /** The files that lead on from a state, one after the other; none of another history. */
  following(point: ChainPoint): readonly ChainFile[] {
    return chainFrom(point, this.files);
  }

  /** Forgets all others. */
  retain(isKept: (file: ChainFile) => boolean): void {
    const kept = this.#files.filter(({ pushed }) => isKept(pushed));
    this.#files.splice(0, this.#files.length, ...kept);
    this.#sizeBytes = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** The store with the files that are kept beside its own. Listings do not show them. */
  over(store: ObjectStore): ObjectStore {
    return {
      url: store.url,
      features: (options) => store.features(options),
      put: (key, body, options) => store.put(key, body, options),
      get: async (key, options) => {
        if (!isPushedKey(key)) return store.get(key, options);
        options.signal?.throwIfAborted();
        return this.#get(key, options);
      },
      head: async (key, options) =>
        isPushedKey(key) ? this.#find(key)?.info : store.head(key, options),
      list: (options) => store.list(options),
      delete: (keys, options) => store.delete(keys, options),
      copy: (from, to, options) => store.copy(from, to, options),
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  }

  /** `over` for a caller that stands still. */
  overReads(reads: BlockingReads): BlockingReads {
    return {
      getNow: (key, options) => {
        if (!isPushedKey(key)) return reads.getNow(key, options);
        const { info, bytes } = this.#read(key, options) ?? {};
        if (info === undefined || bytes === undefined) return undefined;
        return { etag: info.etag, sizeBytes: info.sizeBytes, bytes: bytes.slice() };
      },
    };
  }

  #get(key: string, options: GetNowOptions): ObjectContent | undefined {
    const found = this.#read(key, options);
    return found && { info: found.info, body: streamOf(found.bytes) };
  }

  /** The part that is asked for. */
  #read(key: string, options: GetNowOptions): KeptBytes | undefined {
    const found = this.#find(key);
    if (found === undefined) return undefined;
    const { offset = 0, length = Infinity, etag = found.info.etag } = options;
    if (etag !== found.info.etag) {
      throw new HeadwaterError("store/changed", `${key} is another file now. Read it anew.`, {
        data: { key },
      });
    }
    return { info: found.info, bytes: found.bytes.subarray(offset, offset + length) };
  }

  #find(key: string): KeptBytes | undefined {
    const found = this.#files.find(({ pushed }) => pushed.file.key === key);
    return found && { info: found.pushed.file, bytes: found.bytes };
  }
}
