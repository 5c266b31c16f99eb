// The files a compaction reads, from nearer than the store where they lie there, too.
import type { Waiting } from "../base/async.ts";
import { concatBytes } from "../base/bytes.ts";
import { HeadwaterError } from "../base/errors.ts";
import { type LtxHeader, decodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import type { MergeInput } from "../ltx/merge.ts";
import type { ObjectBody, ObjectStore, ReadOptions } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { checkFileIdentity } from "./chain-state.ts";

/** Where files are. */
export interface InputSource {
  readonly store: ObjectStore;
  /** The bytes of an input where they lie nearer than the store. They must be those of the store. */
  readonly localBody?: ((file: ReplicaFile) => ObjectBody | undefined) | undefined;
}

/** The header of a file, which is that of its name. Throws `store/changed` if it is gone, and what reading it throws. */
export async function readFileHeader(
  { store, localBody, signal }: InputSource & Waiting,
  file: ReplicaFile,
): Promise<LtxHeader> {
  const local = localBody?.(file)?.open({ signal });
  const remote = async (): Promise<AsyncIterable<Uint8Array>> => {
    const content = await store.get(file.key, { length: ltxHeaderSizeBytes, signal });
    if (content === undefined) throw gone(file);
    return content.body;
  };
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of local ?? (await remote())) {
    const part = chunk.slice(0, ltxHeaderSizeBytes - sizeBytes);
    parts.push(part);
    sizeBytes += part.length;
    if (sizeBytes >= ltxHeaderSizeBytes) break;
  }
  const header = decodeHeader(concatBytes(parts), file.key);
  checkFileIdentity(file, header, undefined);
  return header;
}

/** Memory for what is read of all inputs together, before the same again that a store may read ahead. */
const readBytes = 8 * 1024 * 1024;
const minChunkBytes = 16 * 1024;

/** The inputs as a merge takes them. Nothing is opened before it is read. */
export function mergeInputs(
  files: readonly ReplicaFile[],
  source: InputSource,
  waiting: Waiting,
): readonly MergeInput[] {
  const share = Math.floor(readBytes / Math.max(1, files.length));
  const options = { ...waiting, chunkBytes: Math.min(1024 * 1024, Math.max(minChunkBytes, share)) };
  return files.map((file) => ({ name: file.key, chunks: openInput(file, source, options) }));
}

/** The bytes of a file. Throws `store/changed` if it is gone. */
export async function* openInput(
  file: ReplicaFile,
  { store, localBody }: InputSource,
  options: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const local = localBody?.(file);
  if (local !== undefined) {
    yield* local.open(options);
    return;
  }
  const content = await store.get(file.key, options);
  if (content === undefined) throw gone(file);
  yield* content.body;
}

/** The error for a file that the store has no longer. */
export function gone({ key }: ReplicaFile): HeadwaterError {
  return new HeadwaterError(
    "store/changed",
    `${key} was deleted while it was being compacted. The replica is listed again before the next attempt.`,
    { data: { key } },
  );
}
