// What stands inside an LTX file and a manifest tells: seen while the file is put, else read with two small requests.
import type { Waiting } from "../base/async.ts";
import { collectBytes, concatBytes, viewOf } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type LtxHeader, decodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import { indexLengthSizeBytes } from "../ltx/page-index.ts";
import { ltxTrailerSizeBytes } from "../ltx/trailer.ts";
import type { ObjectBody, ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";

export type FileFacts = Pick<
  LtxHeader,
  "pageSize" | "commit" | "minTxid" | "maxTxid" | "timestampMs" | "proof"
> & {
  /** Bytes of the page index, its length included. */
  readonly indexSizeBytes: number;
};

/** The length of the index, then the trailer. */
const endSizeBytes = indexLengthSizeBytes + ltxTrailerSizeBytes;

/** Reads them from a file in the store. `undefined` if it is gone, or is not the file that its name says. */
export async function readFileFacts(
  store: ObjectStore,
  { key, etag, sizeBytes, minTxid, maxTxid }: ReplicaFile,
  { signal }: Waiting,
): Promise<FileFacts | undefined> {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const content = await store.get(key, { offset, length, etag, signal });
    return content === undefined ? new Uint8Array(0) : collectBytes(content.body);
  };
  try {
    const [start, end] = await Promise.all([
      read(0, ltxHeaderSizeBytes),
      read(Math.max(0, sizeBytes - endSizeBytes), endSizeBytes),
    ]);
    const facts = factsOf(start, end, sizeBytes);
    return facts?.minTxid === minTxid && facts.maxTxid === maxTxid ? facts : undefined;
  } catch (error) {
    const isOther = error instanceof HeadwaterError && error.code === "store/changed";
    if (isOther) return undefined;
    throw error;
  }
}

/** `body`, watched as it passes. */
export class WatchedBody implements ObjectBody {
  readonly sizeBytes: number | undefined;
  readonly #body: ObjectBody;
  #facts: FileFacts | undefined;

  constructor(body: ObjectBody) {
    this.sizeBytes = body.sizeBytes;
    this.#body = body;
  }

  /** Of the file in it, once all of it has passed. */
  get facts(): FileFacts | undefined {
    return this.#facts;
  }

  async *open(options: Parameters<ObjectBody["open"]>[0]): AsyncGenerator<Uint8Array> {
    let start = new Uint8Array(0);
    let end = new Uint8Array(0);
    let passedBytes = 0;
    for await (const chunk of this.#body.open(options)) {
      if (start.length < ltxHeaderSizeBytes) {
        start = concatBytes([start, chunk.subarray(0, ltxHeaderSizeBytes - start.length)]);
      }
      end = concatBytes([end, chunk.subarray(-endSizeBytes)]).slice(-endSizeBytes);
      passedBytes += chunk.length;
      yield chunk;
    }
    this.#facts = factsOf(start, end, passedBytes);
  }
}

/** `undefined` for what is no LTX file. */
function factsOf(start: Uint8Array, end: Uint8Array, sizeBytes: number): FileFacts | undefined {
  if (end.length < endSizeBytes) return undefined;
  const lengthBytes = viewOf(end).getBigUint64(0);
  if (lengthBytes > BigInt(sizeBytes - ltxHeaderSizeBytes - endSizeBytes)) return undefined;
  try {
    const { pageSize, commit, minTxid, maxTxid, timestampMs, proof } = decodeHeader(start);
    const indexSizeBytes = Number(lengthBytes) + indexLengthSizeBytes;
    return { pageSize, commit, minTxid, maxTxid, timestampMs, proof, indexSizeBytes };
  } catch (error) {
    // What is wrong with the file is found out where it is read.
    if (error instanceof HeadwaterError && error.code.startsWith("ltx/")) return undefined;
    throw error;
  }
}
