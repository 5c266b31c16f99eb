// Compaction: files of one level merged into one of the next, as planned (plan-compaction.ts). It puts one file, looks at
// what the store then lists, and may be repeated after any interruption (docs/formats/replica.md, "Compaction").
import { must } from "../base/assert.ts";
import type { Codec } from "../codec/codec.ts";
import type { LtxHeader } from "../ltx/header.ts";
import { mergeLtx } from "../ltx/merge.ts";
import type { ObjectBody } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import type { InputSource } from "./compaction-input.ts";
import { type FileFacts, WatchedBody } from "./file-facts.ts";
import { mergeInputs, openInput, readFileHeader } from "./compaction-input.ts";
import type { CompactionPlan } from "./plan-compaction.ts";
import { type PutCompactedOptions, copyOnce, putOnce } from "./put-compacted.ts";
import { type VerifyCompactedOptions, unsound, verifyCompacted } from "./verify-compacted.ts";

export interface CompactOptions extends InputSource, PutCompactedOptions, VerifyCompactedOptions {
  readonly codec: Codec;
  /** Node id in the header of a merged file; 0 by default. */
  readonly nodeId?: bigint | undefined;
}

export interface CompactResult {
  /** As the store lists it. */
  readonly file: ReplicaFile;
  /** `copied`: inside the store, without its bytes passing here. */
  readonly how: "merged" | "copied";
  readonly inputBytes: number;
  /** What stands inside a merged file; `undefined` for a copy, in which the same stands as in its input. */
  readonly facts: FileFacts | undefined;
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
  const { timestampMs } = lastHeader;
  const body = new WatchedBody(bodyFor(plan.inputs, options));
  const info = isCopy
    ? await copyOnce(first, { key, body }, options)
    : await putOnce({ key, body, timestampMs }, options);
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
    facts: body.facts,
  };
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

/**
 * Reads all inputs of a plan and merges them into nothing. Throws what is wrong with one of them (`ltx/*`,
 * `replica/foreign-file`), naming it; afterwards the plan can be carried out.
 */
export async function proveInputs(plan: CompactionPlan, options: CompactOptions): Promise<void> {
  const { codec, signal } = options;
  for (const input of plan.inputs) await readFileHeader(options, input);
  const inputs = mergeInputs(plan.inputs, options, options);
  for await (const chunk of mergeLtx(codec, inputs, { signal })) void chunk;
}

/** The bytes of the file to make: one input as it is, several merged. */
function bodyFor(files: readonly ReplicaFile[], options: CompactOptions): ObjectBody {
  const { codec, nodeId } = options;
  const [only] = files;
  if (files.length === 1 && only !== undefined) {
    return { sizeBytes: only.sizeBytes, open: (waiting) => openInput(only, options, waiting) };
  }
  return {
    sizeBytes: undefined,
    open: (waiting) => {
      const inputs = mergeInputs(files, options, waiting);
      return mergeLtx(codec, inputs, { nodeId, signal: waiting.signal });
    },
  };
}
