// Compaction: files of one level merged into one of the next. Planning is pure; the running part puts one file, looks at
// what the store then lists, and may be repeated after any interruption (docs/formats/replica.md, "Compaction").
import type { Waiting } from "../base/async.ts";
import { assert, must } from "../base/assert.ts";
import { concatBytes } from "../base/bytes.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import type { Codec } from "../codec/codec.ts";
import { type LtxHeader, decodeHeader, ltxHeaderSizeBytes } from "../ltx/header.ts";
import { mergeLtx } from "../ltx/merge.ts";
import { type Txid, formatTxid, toTxid } from "../ltx/txid.ts";
import type { ObjectBody, ObjectInfo, ObjectStore } from "../store/object-store.ts";
import { findEqualObject } from "../store/settle-put.ts";
import type { ReplicaFile } from "./catalog.ts";
import { checkFileIdentity } from "./chain-state.ts";
import type { ReplicaLayout } from "./layout.ts";

/** Inputs merged at once, all of them open: bounds memory and connections. What is left over is the next plan. */
export const maxInputs = 256;

/** One file to make. */
export interface CompactionPlan {
  /** Of the file to make. */
  readonly level: number;
  /** Oldest first, without a hole between them. Of the level below, except in a repair. */
  readonly inputs: readonly ReplicaFile[];
  /** The newest file of the level, which the new one follows; `undefined` for the first. */
  readonly predecessor: ReplicaFile | undefined;
}

export interface CompactionPlanOptions {
  /** 1 to 8. */
  readonly level: number;
  /**
   * The current interval, ms: nothing is due while the newest file of the level lies in it. Left out, whatever is there
   * is due. A file from the future says nothing: the clock was set back.
   */
  readonly interval?: { readonly startMs: number; readonly nowMs: number } | undefined;
}

/**
 * What is next to compact into a level: the files of the level below that end after its newest TXID, up to the first
 * hole. `undefined` if there are none, or if it is too early. Where the level below begins only later than this level
 * ends, the plan begins there: what is missing in between is missing below, too, and no reason to stop.
 */
export function planCompaction(
  files: readonly ReplicaFile[],
  { level, interval }: CompactionPlanOptions,
): CompactionPlan | undefined {
  assert(level >= 1 && level <= 8, "only levels 1 to 8 are compacted");
  const predecessor = newestOf(files.filter((file) => file.level === level));
  const newestMs = predecessor?.timestampMs ?? Number.NEGATIVE_INFINITY;
  const isTooEarly =
    interval !== undefined && newestMs > interval.startMs && newestMs <= interval.nowMs;
  if (isTooEarly) return undefined;
  const after = predecessor?.maxTxid ?? 0n;
  const inputs = firstRun(files.filter((file) => file.level === level - 1 && file.maxTxid > after));
  return inputs.length === 0 ? undefined : { level, inputs, predecessor };
}

/** The oldest of `files` up to the first hole, none of them held by another, and at most as many as are merged at once. */
export function firstRun(files: readonly ReplicaFile[]): readonly ReplicaFile[] {
  const run: ReplicaFile[] = [];
  for (const file of files.toSorted(byTxid)) {
    const last = run.at(-1);
    if (last !== undefined && file.minTxid > last.maxTxid + 1n) break;
    // A file that holds all of those before it takes their place.
    while (file.minTxid <= (run.at(-1)?.minTxid ?? 0n)) run.pop();
    run.push(file);
    if (run.length === maxInputs) break;
  }
  return run;
}

export interface CompactOptions extends Waiting {
  readonly store: ObjectStore;
  readonly layout: ReplicaLayout;
  readonly codec: Codec;
  /** The bytes of an input where they lie nearer than the store. They must be those of the store. */
  readonly localBody?: ((file: ReplicaFile) => ObjectBody | undefined) | undefined;
  /** Node id in the header of a merged file; 0 by default. */
  readonly nodeId?: bigint | undefined;
  /** Etag of a damaged object of that name, which is replaced as long as it is still that one. */
  readonly replaces?: string | undefined;
}

export interface CompactResult {
  /** As the store lists it. */
  readonly file: ReplicaFile;
  /** `copied`: inside the store, without its bytes passing here. */
  readonly how: "merged" | "copied";
  readonly inputBytes: number;
}

/**
 * Makes the planned file: created, and replaced only in a repair; an equal file that is there counts as made. A single input is copied
 * inside the store where the store can. Afterwards the file is looked up in the store's listing, and its header is read
 * back: size, TXIDs, and the proof between it and the file before it must be right.
 *
 * Interrupted anywhere, it has put the whole file or nothing; planned again from a new listing, it goes on. Throws
 * `replica/gap` or `replica/proof` if the file is not as it should be afterwards, `engine/another-writer` if another one
 * has its name, `store/changed` if an input is gone, and whatever store and decoder throw.
 */
export async function compact(
  plan: CompactionPlan,
  options: CompactOptions,
): Promise<CompactResult> {
  const first = must(plan.inputs[0], "a file to compact");
  const last = must(plan.inputs.at(-1), "a file to compact");
  const firstHeader = await readFileHeader(options, first);
  const lastHeader = first === last ? firstHeader : await readFileHeader(options, last);
  const name = { level: plan.level, minTxid: first.minTxid, maxTxid: last.maxTxid };
  const key = options.layout.key(name);
  const { copy } = await options.store.features(options);
  const isCopy = first === last && copy && options.replaces === undefined;
  const info = isCopy
    ? await copyOnce(first, key, options)
    : await putOnce(key, bodyFor(plan.inputs, options), lastHeader.timestampMs, options);
  const { timestampMs } = lastHeader;
  const { sizeBytes, etag } = info;
  const made = { ...name, sizeBytes, etag, key, timestampMs, isExactTime: true };
  const header = await verifyCompacted(made, plan.predecessor, options);
  if (!isMadeOf(header, firstHeader, lastHeader)) {
    throw unsound("replica/proof", made, "has not the header it was given");
  }
  return {
    file: made,
    how: isCopy ? "copied" : "merged",
    inputBytes: plan.inputs.reduce((sum, input) => sum + input.sizeBytes, 0),
  };
}

/**
 * Checks a file of levels 1 to 8 against the store: it is listed, with its size; it follows `predecessor`, and neither
 * header contradicts the other. Returns its header as the store has it. Throws `replica/gap`, `replica/proof` or
 * `replica/foreign-file`.
 */
export async function verifyCompacted(
  file: ReplicaFile,
  predecessor: ReplicaFile | undefined,
  { store, layout, signal }: Pick<CompactOptions, "store" | "layout" | "signal">,
): Promise<LtxHeader> {
  const listed = await findListed(file, { store, layout, signal });
  if (listed?.sizeBytes !== file.sizeBytes) {
    const what =
      listed === undefined ? "is not listed" : `is listed with ${listed.sizeBytes} bytes`;
    throw unsound("replica/gap", file, `${what} after it was put with ${file.sizeBytes}`);
  }
  const header = await readFileHeader({ store, signal }, file);
  if (predecessor?.maxTxid !== file.minTxid - 1n) return header;
  const before = await readFileHeader({ store, signal }, predecessor);
  const left = before.proof?.after ?? 0n;
  const right = header.proof?.before ?? 0n;
  if (before.pageSize !== header.pageSize || (left !== 0n && right !== 0n && left !== right)) {
    throw unsound("replica/proof", file, `does not continue ${predecessor.key}`);
  }
  return header;
}

/** Entries of the level from `file` on; the listing is asked for nothing before it. */
async function findListed(
  { level, minTxid, key }: ReplicaFile,
  { store, layout, signal }: Pick<CompactOptions, "store" | "layout" | "signal">,
): Promise<ObjectInfo | undefined> {
  const prefix = layout.levelPrefix(level);
  const below = toTxid(minTxid > 1n ? minTxid - 1n : 1n);
  // Every name of a file that starts before ours lies before ours.
  const after = minTxid > 1n ? layout.key({ level, minTxid: below, maxTxid: below }) : undefined;
  for await (const object of store.list({ prefix, after, signal })) {
    if (object.key === key) return object;
    if (object.key > key) return undefined;
  }
  return undefined;
}

function isMadeOf(header: LtxHeader, first: LtxHeader, last: LtxHeader): boolean {
  return (
    (header.proof?.before ?? 0n) === (first.proof?.before ?? 0n) &&
    (header.proof?.after ?? 0n) === (last.proof?.after ?? 0n) &&
    header.commit === last.commit &&
    header.pageSize === last.pageSize &&
    header.timestampMs === last.timestampMs
  );
}

async function readFileHeader(
  { store, localBody, signal }: Pick<CompactOptions, "store" | "localBody" | "signal">,
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

/**
 * Reads all inputs of a plan and merges them into nothing. Throws what is wrong with one of them (`ltx/*`,
 * `replica/foreign-file`), naming it; afterwards the plan can be carried out.
 */
export async function proveInputs(plan: CompactionPlan, options: CompactOptions): Promise<void> {
  for (const input of plan.inputs) await readFileHeader(options, input);
  const opened = plan.inputs.map((file) => ({
    name: file.key,
    chunks: openInput(file, options, options),
  }));
  for await (const chunk of mergeLtx(options.codec, opened, { signal: options.signal })) void chunk;
}

/** The bytes of the file to make: one input as it is, several merged. */
function bodyFor(inputs: readonly ReplicaFile[], options: CompactOptions): ObjectBody {
  const { codec, nodeId } = options;
  const [only] = inputs;
  if (inputs.length === 1 && only !== undefined) {
    return { sizeBytes: only.sizeBytes, open: (waiting) => openInput(only, options, waiting) };
  }
  return {
    sizeBytes: undefined,
    open: (waiting) => {
      const opened = inputs.map((file) => ({
        name: file.key,
        chunks: openInput(file, options, waiting),
      }));
      return mergeLtx(codec, opened, { nodeId, signal: waiting.signal });
    },
  };
}

async function* openInput(
  file: ReplicaFile,
  { store, localBody }: CompactOptions,
  waiting: Waiting,
): AsyncGenerator<Uint8Array> {
  const local = localBody?.(file);
  if (local !== undefined) {
    yield* local.open(waiting);
    return;
  }
  const content = await store.get(file.key, waiting);
  if (content === undefined) throw gone(file);
  yield* content.body;
}

async function copyOnce(
  input: ReplicaFile,
  key: string,
  options: CompactOptions,
): Promise<ObjectInfo> {
  const { store } = options;
  // A copy replaces what is there, so it is looked for first.
  if ((await store.head(key, options)) !== undefined) {
    return equalOrConflict(key, bodyFor([input], options), options);
  }
  const info = await store.copy(input.key, key, options);
  if (info === undefined) throw gone(input);
  if (info.sizeBytes !== input.sizeBytes) {
    throw unsound("replica/gap", { ...input, key }, `has not the size of ${input.key}`);
  }
  return info;
}

async function putOnce(
  key: string,
  body: ObjectBody,
  timestampMs: number,
  options: CompactOptions,
): Promise<ObjectInfo> {
  const { store, replaces, signal } = options;
  const { createOnly, replaceIfUnchanged } = await store.features(options);
  if (replaces !== undefined) {
    if (replaceIfUnchanged) {
      return store.put(key, body, { condition: { etag: replaces }, timestampMs, signal });
    }
    // Between the two nothing of that name is there, which is no less than a file that cannot be used.
    await store.delete([key], options);
  }
  if (!createOnly) {
    const isThere = (await store.head(key, options)) !== undefined;
    return isThere
      ? equalOrConflict(key, body, options)
      : store.put(key, body, { timestampMs, signal });
  }
  try {
    return await store.put(key, body, { condition: "absent", timestampMs, signal });
  } catch (error) {
    if (!hasCode(error, "store/exists")) throw error;
    return equalOrConflict(key, body, options);
  }
}

async function equalOrConflict(
  key: string,
  body: ObjectBody,
  { store, signal }: CompactOptions,
): Promise<ObjectInfo> {
  const info = await findEqualObject(store, key, body, { signal });
  if (info !== undefined) return info;
  throw new HeadwaterError(
    "engine/another-writer",
    `${key} in ${store.url} is there already and holds something else: another program compacts the same replica. ` +
      "Stop one of the two.",
    { data: { key, url: store.url } },
  );
}

function gone({ key }: ReplicaFile): HeadwaterError {
  return new HeadwaterError(
    "store/changed",
    `${key} was deleted while it was being compacted. The replica is listed again before the next attempt.`,
    { data: { key } },
  );
}

function unsound(
  code: "replica/gap" | "replica/proof",
  { key, minTxid, maxTxid }: ReplicaFile,
  problem: string,
): HeadwaterError {
  return new HeadwaterError(
    code,
    `${key} (TXID ${formatTxid(minTxid)} to ${formatTxid(maxTxid)}) ${problem}. ` +
      "The files it was made of are kept; run headwater verify.",
    { data: { key } },
  );
}

function newestOf(files: readonly ReplicaFile[]): ReplicaFile | undefined {
  return files.toSorted(byTxid).at(-1);
}

/** By end; of two with the same end the wider one last. */
function byTxid(a: ReplicaFile, b: ReplicaFile): number {
  return compare(a.maxTxid, b.maxTxid) || compare(b.minTxid, a.minTxid);
}

function compare(a: Txid, b: Txid): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
