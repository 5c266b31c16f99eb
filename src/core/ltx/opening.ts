// The first step of reading an LTX file: its header, before there is memory to decode pages in, whose size the header says.
import { concatBytes } from "../base/bytes.ts";
import type { LtxHeader } from "./header.ts";
import { decodeHeader, ltxHeaderSizeBytes } from "./header.ts";

export interface OpenLtxOptions {
  /** The file's name in errors. */
  readonly name: string;
  readonly signal?: AbortSignal | undefined;
}

/** A file whose header has been read. Read it on with `LtxReader`, or dispose it: both end its chunks. */
export interface LtxOpening extends OpenLtxOptions, AsyncDisposable {
  readonly header: LtxHeader;
  /** The header and what came with it. */
  readonly bytes: Uint8Array;
  /** What follows `bytes`. */
  readonly rest: AsyncIterator<Uint8Array>;
}

/** Reads the header. Throws `ltx/short` or `ltx/invalid`, and what `chunks` throws; they are ended then. */
export async function readLtxOpening(
  chunks: AsyncIterable<Uint8Array>,
  { name, signal }: OpenLtxOptions,
): Promise<LtxOpening> {
  const rest = chunks[Symbol.asyncIterator]();
  let isEnded = false;
  const end = async (): Promise<void> => {
    if (isEnded) return;
    isEnded = true;
    await rest.return?.();
  };
  try {
    let bytes: Uint8Array = new Uint8Array(0);
    while (bytes.length < ltxHeaderSizeBytes) {
      signal?.throwIfAborted();
      const next = await rest.next();
      if (next.done === true) break;
      bytes = bytes.length === 0 ? next.value : concatBytes([bytes, next.value]);
    }
    const header = decodeHeader(bytes, name);
    return { header, bytes, rest, name, signal, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}
