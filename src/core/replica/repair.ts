// Repair of a level: a file of levels 1 to 8 that is damaged or missing is made anew from whatever other files hold the same
// TXIDs (docs/formats/replica.md, "Repair"). Planning is pure.
import type { Waiting } from "../base/async.ts";
import { assert } from "../base/assert.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import type { Codec } from "../codec/codec.ts";
import { openLtx } from "../ltx/decoder.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { checkFileIdentity } from "./chain-state.ts";
import { type CompactionPlan, firstRun, maxInputs } from "./plan-compaction.ts";
import { maxLevel } from "./layout.ts";

/**
 * How to make `damaged` anew: plans that together cover exactly its TXIDs, from other files of any level; as a rule one
 * plan, of the name it has. `undefined` if no chain of files holds them all.
 */
export function planRebuild(
  files: readonly ReplicaFile[],
  damaged: ReplicaFile,
): readonly CompactionPlan[] | undefined {
  const { level, key, minTxid, maxTxid } = damaged;
  assert(level >= 1 && level < maxLevel, "only levels 1 to 8 are rebuilt");
  const inside = files.filter(
    (file) => file.key !== key && file.minTxid >= minTxid && file.maxTxid <= maxTxid,
  );
  const inputs = shortestChain(inside, damaged);
  if (inputs === undefined) return undefined;
  const plans: CompactionPlan[] = [];
  for (let at = 0; at < inputs.length; at += maxInputs) {
    const some = inputs.slice(at, at + maxInputs);
    const before = (some[0]?.minTxid ?? minTxid) - 1n;
    const predecessor = files.find((file) => file.level === level && file.maxTxid === before);
    plans.push({ level, inputs: some, predecessor });
  }
  return plans;
}

/** The fewest files that follow each other from the first TXID to the last. */
function shortestChain(
  files: readonly ReplicaFile[],
  { minTxid, maxTxid }: ReplicaFile,
): readonly ReplicaFile[] | undefined {
  const chainTo = new Map<bigint, readonly ReplicaFile[]>([[minTxid - 1n, []]]);
  for (const file of files.toSorted((a, b) => (a.maxTxid < b.maxTxid ? -1 : 1))) {
    const before = chainTo.get(file.minTxid - 1n);
    const other = chainTo.get(file.maxTxid);
    if (before === undefined || (other?.length ?? Infinity) <= before.length + 1) continue;
    chainTo.set(file.maxTxid, [...before, file]);
  }
  return chainTo.get(maxTxid);
}

/**
 * What is missing inside a level and still lies in the level below: the oldest of it. Before the first file of the level only
 * what ends after the oldest full image is missing; the rest may have been deleted by retention.
 */
export function planFill(files: readonly ReplicaFile[], level: number): CompactionPlan | undefined {
  assert(level >= 1 && level < maxLevel, "only levels 1 to 8 are filled");
  const own = files
    .filter((file) => file.level === level)
    .toSorted((a, b) => (a.minTxid < b.minTxid ? -1 : 1));
  const below = files.filter((file) => file.level === level - 1);
  const images = files.filter((file) => file.level === maxLevel).map(({ maxTxid }) => maxTxid);
  const oldestImage = images.reduce(
    (oldest, txid) => (txid < oldest ? txid : oldest),
    images[0] ?? 0n,
  );
  let covered = 0n;
  let predecessor: ReplicaFile | undefined;
  for (const file of own) {
    const from = covered;
    const least = predecessor === undefined ? oldestImage : 0n;
    const inputs = firstRun(
      below.filter(
        ({ minTxid, maxTxid }) => minTxid > from && maxTxid < file.minTxid && maxTxid > least,
      ),
    );
    if (inputs.length > 0) return { level, inputs, predecessor };
    if (file.maxTxid > covered) {
      covered = file.maxTxid;
      predecessor = file;
    }
  }
  return undefined;
}

/** What can be the matter with a file itself, not with the way to it. */
const fileFaults = /^ltx\/|^replica\/foreign-file$/u;

/**
 * Reads a whole file. `damaged`: its bytes are no LTX file of that name, twice in a row, so that it is not the connection.
 * Throws what the store throws.
 */
export async function inspectFile(
  file: ReplicaFile,
  options: Waiting & { readonly store: ObjectStore; readonly codec: Codec },
): Promise<"sound" | "damaged" | "gone"> {
  const first = await readWhole(file, options);
  return first === "damaged" ? readWhole(file, options) : first;
}

async function readWhole(
  file: ReplicaFile,
  { store, codec, signal }: Waiting & { readonly store: ObjectStore; readonly codec: Codec },
): Promise<"sound" | "damaged" | "gone"> {
  try {
    return (await checkFile(file, { store, codec, signal })) ? "sound" : "gone";
  } catch (error) {
    if (faultyKey(error) === file.key) return "damaged";
    throw error;
  }
}

/** Reads a whole file; `false` if it is gone. Throws what is wrong with it, `ltx/*` or `replica/foreign-file`. */
export async function checkFile(
  file: ReplicaFile,
  { store, codec, signal }: Waiting & { readonly store: ObjectStore; readonly codec: Codec },
): Promise<boolean> {
  const content = await store.get(file.key, { signal });
  if (content === undefined) return false;
  await using reader = await openLtx(codec, content.body, { name: file.key, signal });
  checkFileIdentity(file, reader.header, undefined);
  for await (const batch of reader.pages()) void batch;
  return true;
}

/** The key of the file that an error is about, if it says that something is wrong with the file itself, or that it is gone. */
export function faultyKey(error: unknown): string | undefined {
  if (!(error instanceof HeadwaterError)) return undefined;
  if (!fileFaults.test(error.code) && !hasCode(error, "store/changed", "replica/gap")) {
    return undefined;
  }
  const { key, name } = error.data;
  return typeof key === "string" ? key : typeof name === "string" ? name : undefined;
}
