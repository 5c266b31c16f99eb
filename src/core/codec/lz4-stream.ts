// LZ4 frames of any length from a stream, in bounded memory: one block and the 64 KiB that the next may refer to. The
// files of a Litestream 0.3 backup are such frames, with blocks of up to 4 MiB. Format: see lz4-frame.ts.
import { viewOf } from "../base/bytes.ts";
import { decompressBlock } from "./lz4-block.ts";
import { type FrameDescriptor, blockStored, readDescriptor } from "./lz4-frame.ts";
import { Xxh32, xxh32 } from "./xxh32.ts";

/** How far back a block may refer into the ones before it. */
const windowBytes = 64 * 1024;

/** Magic, flags and block size: they say how long the rest of the descriptor is. */
const descriptorStartBytes = 6;

export interface Lz4StreamOptions {
  /** Makes the error for damaged input from what is wrong with it. */
  readonly fail: (reason: string) => Error;
}

/**
 * The content of the frames that `chunks` make up: at least one, one after the other. Checks every checksum they carry.
 * Each piece is borrowed until the next is asked for. What has been yielded is proved only when the stream ends without
 * throwing.
 */
export async function* decodeLz4Stream(
  chunks: AsyncIterable<Uint8Array>,
  { fail }: Lz4StreamOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using input = new ChunkReader(chunks, fail);
  do {
    yield* decodeFrame(input, fail);
  } while (!(await input.isAtEnd()));
}

async function* decodeFrame(
  input: ChunkReader,
  fail: Lz4StreamOptions["fail"],
): AsyncGenerator<Uint8Array, void, undefined> {
  const descriptor = await takeDescriptor(input, fail);
  const { areBlocksIndependent, blockLimitBytes, hasBlockChecksums } = descriptor;
  const target = new Uint8Array(windowBytes + blockLimitBytes);
  const sum = new Xxh32();
  let historyBytes = 0;
  let contentBytes = 0;
  for (;;) {
    const word = await takeWord(input);
    if (word === 0) break;
    const size = word & ~blockStored;
    if (size > blockLimitBytes) throw fail("a block is larger than the frame allows");
    const block = await input.take(size);
    let end = windowBytes + size;
    if ((word & blockStored) !== 0) {
      target.set(block, windowBytes);
    } else {
      const start = areBlocksIndependent ? windowBytes : windowBytes - historyBytes;
      const bounds = { start, at: windowBytes, limit: target.length };
      end = decompressBlock(block, 0, size, target, bounds);
      if (end < 0) throw fail("a block cannot be decoded");
    }
    if (hasBlockChecksums) {
      // Taking more input lets go of the block.
      const expected = xxh32(block);
      if ((await takeWord(input)) !== expected) throw fail("wrong block checksum");
    }
    const content = target.subarray(windowBytes, end);
    contentBytes += content.length;
    if (descriptor.hasContentChecksum) sum.add(content);
    yield content;
    historyBytes = Math.min(windowBytes, historyBytes + content.length);
    target.copyWithin(windowBytes - historyBytes, end - historyBytes, end);
  }
  if (descriptor.hasContentChecksum && (await takeWord(input)) !== sum.hash) {
    throw fail("wrong content checksum");
  }
  const { contentSizeBytes = contentBytes } = descriptor;
  if (contentSizeBytes !== contentBytes) throw fail("wrong content size");
}

async function takeDescriptor(
  input: ChunkReader,
  fail: Lz4StreamOptions["fail"],
): Promise<FrameDescriptor> {
  const start = (await input.take(descriptorStartBytes)).slice();
  const hasContentSize = ((start[4] ?? 0) & 0b1000) !== 0;
  const bytes = new Uint8Array(hasContentSize ? 15 : 7);
  bytes.set(start);
  bytes.set(await input.take(bytes.length - start.length), start.length);
  const descriptor = readDescriptor(bytes);
  if (!("kind" in descriptor)) return descriptor;
  throw fail(descriptor.kind === "corrupt" ? descriptor.reason : "it is cut off");
}

async function takeWord(input: ChunkReader): Promise<number> {
  return viewOf(await input.take(4)).getUint32(0, true);
}

/** Takes bytes from a stream of chunks of any size. */
class ChunkReader implements AsyncDisposable {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #fail: Lz4StreamOptions["fail"];
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>, fail: Lz4StreamOptions["fail"]) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#fail = fail;
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return true;
      this.#chunk = next.value;
    }
    return false;
  }

  /** Exactly `length` bytes, borrowed until the next call. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#chunk.length >= length) return this.#cut(length);
    const taken = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      if (await this.isAtEnd()) throw this.#fail("it is cut off");
      const part = this.#cut(Math.min(this.#chunk.length, length - filled));
      taken.set(part, filled);
      filled += part.length;
    }
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }

  #cut(length: number): Uint8Array {
    const part = this.#chunk.subarray(0, length);
    this.#chunk = this.#chunk.subarray(length);
    return part;
  }
}
