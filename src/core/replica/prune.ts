// Carries out what `planRetention` decided. Before level 0 goes, the level-1 files that hold its content are read in the
// store; the files go level by level, so that whoever lists in between finds a whole history.
import { type Waiting, mapConcurrent } from "../base/async.ts";
import type { Codec } from "../codec/codec.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";
import { verifyCompacted } from "./verify-compacted.ts";
import { type ReplicaLayout, maxLevel } from "./layout.ts";
import { checkFile } from "./repair.ts";
import type { RetentionPlan } from "./retention.ts";

/** Level-1 files read together. */
const verifyLimit = 4;

export interface PruneOptions extends Waiting {
  readonly store: ObjectStore;
  readonly layout: ReplicaLayout;
  readonly codec: Codec;
  /** Level-1 files that were read already, or made by this process. */
  readonly isVerified?: ((file: ReplicaFile) => boolean) | undefined;
}

/**
 * Deletes what goes. Throws `ltx/*`, `replica/gap`, `replica/proof` or `replica/foreign-file` before anything is deleted if
 * a file of level 1 is not what level 0 is deleted for, and what the store throws; called again, it goes on.
 */
export async function applyRetention(
  plan: RetentionPlan,
  { store, layout, codec, isVerified, signal }: PruneOptions,
): Promise<void> {
  const { verdicts, gone } = plan;
  const level1 = verdicts.map(({ file }) => file).filter(({ level }) => level === 1);
  const unverified = holdersOf(plan).filter((file) => isVerified?.(file) !== true);
  await mapConcurrent(unverified, verifyLimit, async (file) => {
    const before = level1.find(({ maxTxid }) => maxTxid === file.minTxid - 1n);
    // One that is gone is not listed, either.
    await checkFile(file, { store, codec, signal });
    await verifyCompacted(file, before, { store, layout, signal });
  });
  for (let level = 0; level <= maxLevel; level++) {
    const keys = gone.filter((file) => file.level === level).map(({ key }) => key);
    if (keys.length > 0) await store.delete(keys, { signal });
  }
}

/** The level-1 files that hold what goes of level 0. */
export function holdersOf({ verdicts, gone }: RetentionPlan): readonly ReplicaFile[] {
  const level0 = gone.filter(({ level }) => level === 0);
  return verdicts
    .map(({ file }) => file)
    .filter(
      (file) =>
        file.level === 1 &&
        level0.some(({ minTxid, maxTxid }) => minTxid <= file.maxTxid && maxTxid >= file.minTxid),
    );
}
