// Backups of Litestream 0.3: generations of snapshots and WAL segments, as a listing and as the files that give a
// restore point. Read only; Headwater writes LTX. Format and rules: docs/formats/litestream-0.3.md.
import type { Waiting } from "../base/async.ts";
import { unreachable } from "../base/assert.ts";
import { HeadwaterError } from "../base/errors.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { ReplicaFile } from "./catalog.ts";

/** One file of a generation as its listing shows it. */
export interface GenerationFile {
  /** 16 hexadecimal digits. */
  readonly generation: string;
  /** Number of the WAL that the file belongs to; a snapshot is the database before that WAL. */
  readonly index: number;
  /** Place of a segment's first byte in its WAL; `undefined` = a snapshot. */
  readonly offset: number | undefined;
  readonly sizeBytes: number;
  /** When the store received it: the format carries no time. */
  readonly timestampMs: number;
  readonly key: string;
  readonly etag: string;
}

/** What to restore. A time includes what is stamped with it; without an index all of the generation is restored. */
export type GenerationTarget =
  | { readonly kind: "latest" }
  | { readonly kind: "time"; readonly atMs: number }
  | { readonly kind: "index"; readonly generation: string; readonly index: number | undefined };

/** The files that give a restore point. */
export interface GenerationPlan {
  readonly snapshot: GenerationFile;
  /** By index and offset; from the snapshot's index on, no index left out. */
  readonly segments: readonly GenerationFile[];
  /** The segment that would come next. */
  readonly next: GenerationFile | undefined;
}

const prefix = "generations/";
const keyPattern =
  /^generations\/(?<generation>[0-9a-f]{16})\/(?:snapshots\/(?<snapshot>[0-9a-f]{8})\.snapshot|wal\/(?<index>[0-9a-f]{8})_(?<offset>[0-9a-f]{8,16})\.wal)\.lz4$/u;

/** Whether a key, relative to a replica's URL, is that of a snapshot or a WAL segment. */
export function isGenerationKey(key: string): boolean {
  return keyPattern.test(key);
}

/** 8 hexadecimal digits, as in the names of files. */
export function formatIndex(index: number): string {
  return index.toString(16).padStart(8, "0");
}

/** All files of all generations, in no order that matters. Other names are skipped. */
export async function listGenerations(
  store: ObjectStore,
  { signal }: Waiting,
): Promise<readonly GenerationFile[]> {
  const files: GenerationFile[] = [];
  for await (const { key, sizeBytes, timestampMs, etag } of store.list({ prefix, signal })) {
    const parts = keyPattern.exec(key)?.groups;
    const generation = parts?.["generation"];
    if (parts === undefined || generation === undefined) continue;
    const index = Number.parseInt(parts["snapshot"] ?? parts["index"] ?? "", 16);
    const offset = parts["offset"] === undefined ? undefined : Number.parseInt(parts["offset"], 16);
    files.push({ generation, index, offset, sizeBytes, timestampMs, key, etag });
  }
  return files;
}

/**
 * Whether a restore takes the generations and not the LTX files beside them, by Litestream 0.5's rules: for the newest
 * state whichever has the newest file, for a time whichever has the newer full image before it (an LTX file of level 9),
 * and LTX files where neither is newer. `ltxFiles`: listed times for the newest state, header times for a time.
 */
export function prefersGenerations(
  ltxFiles: readonly ReplicaFile[],
  generationFiles: readonly GenerationFile[],
  beforeMs: number | undefined,
): boolean {
  if (generationFiles.length === 0 || ltxFiles.length === 0) return generationFiles.length > 0;
  if (beforeMs === undefined) return newestMs(generationFiles) > newestMs(ltxFiles);
  const images = ltxFiles.filter(({ level, timestampMs }) => level === 9 && timestampMs < beforeMs);
  const snapshots = generationFiles.filter(
    ({ offset, timestampMs }) => offset === undefined && timestampMs <= beforeMs,
  );
  return newestMs(snapshots) > newestMs(images);
}

/**
 * The snapshot and the segments that give the target. Of several generations the one with the newest snapshot that fits;
 * of its snapshots the one of the highest index. A time ends the segments at the first one stamped after it.
 * Throws `replica/empty`, `replica/unreachable-time`, `replica/generation` or `replica/gap`.
 */
export function planGenerations(
  files: readonly GenerationFile[],
  target: GenerationTarget,
): GenerationPlan {
  const snapshot = chooseSnapshot(files, target);
  const following = files
    .filter(
      ({ generation, index, offset }) =>
        generation === snapshot.generation && offset !== undefined && index >= snapshot.index,
    )
    .toSorted((a, b) => a.index - b.index || (a.offset ?? 0) - (b.offset ?? 0));
  const end = following.findIndex((segment) => isBeyond(segment, target));
  const segments = end < 0 ? following : following.slice(0, end);
  checkConsecutive(snapshot, segments);
  return { snapshot, segments, next: end < 0 ? undefined : following[end] };
}

/**
 * The files whose end can be restored: snapshots, and segments that a chain from a snapshot leads to. By generation, index
 * and offset. Names alone decide; only the content shows whether the segments of one index join without a gap.
 */
export function restorableFiles(files: readonly GenerationFile[]): readonly GenerationFile[] {
  const sorted = files.toSorted(
    (a, b) =>
      Number(a.generation > b.generation) - Number(a.generation < b.generation) ||
      a.index - b.index ||
      (a.offset ?? -1) - (b.offset ?? -1),
  );
  const restorable: GenerationFile[] = [];
  let last: GenerationFile | undefined;
  for (const file of sorted) {
    const { generation, index, offset } = file;
    const follows = last?.generation === generation ? index - last.index : undefined;
    const startsWal =
      offset === 0 && (follows === 0 || (follows === 1 && last?.offset !== undefined));
    const continuesWal = follows === 0 && last?.offset !== undefined;
    if (offset !== undefined && !startsWal && !continuesWal) continue;
    restorable.push(file);
    last = file;
  }
  return restorable;
}

function isBeyond({ timestampMs, index }: GenerationFile, target: GenerationTarget): boolean {
  switch (target.kind) {
    case "latest":
      return false;
    case "time":
      return timestampMs > target.atMs;
    case "index":
      return target.index !== undefined && index > target.index;
    default:
      return unreachable(target);
  }
}

function chooseSnapshot(
  files: readonly GenerationFile[],
  target: GenerationTarget,
): GenerationFile {
  const snapshots = files.filter(({ offset }) => offset === undefined);
  const fitting = snapshots.filter(
    (snapshot) =>
      !isBeyond(snapshot, target) &&
      (target.kind !== "index" || snapshot.generation === target.generation),
  );
  const newest = fitting.toSorted((a, b) => b.timestampMs - a.timestampMs || b.index - a.index)[0];
  // Times may have been lost in a copy, indexes never are.
  const [chosen] = fitting
    .filter(({ generation }) => generation === newest?.generation)
    .toSorted((a, b) => b.index - a.index);
  if (chosen === undefined) throw noSnapshot(files, snapshots, target);
  return chosen;
}

/** Offsets inside an index can be checked only against the content (`restore`); a missing start shows here. */
function checkConsecutive(snapshot: GenerationFile, segments: readonly GenerationFile[]): void {
  let index = snapshot.index - 1;
  for (const segment of segments) {
    const isStart = segment.offset === 0 && segment.index === index + 1;
    if (segment.index !== index && !isStart) throw segmentGap(segment, snapshot, index);
    index = segment.index;
  }
}

/** `replica/gap`: what should stand before `segment` is missing. `wholeIndex` is the last one that is not concerned. */
export function segmentGap(
  { generation, key }: GenerationFile,
  snapshot: GenerationFile,
  wholeIndex: number,
): HeadwaterError {
  const rescue =
    wholeIndex < snapshot.index
      ? "another generation or an earlier snapshot with --generation and --index"
      : `--generation ${generation} --index ${formatIndex(wholeIndex)}`;
  return new HeadwaterError(
    "replica/gap",
    `${key} does not follow what is before it: WAL segments of generation ${generation} are missing. ` +
      `Restore a time before it, or ${rescue}.`,
    { data: { key, generation, wholeIndex } },
  );
}

function noSnapshot(
  files: readonly GenerationFile[],
  snapshots: readonly GenerationFile[],
  target: GenerationTarget,
): HeadwaterError {
  if (files.length === 0) {
    return new HeadwaterError(
      "replica/empty",
      "There is no Litestream 0.3 backup here, so there is no generation to restore. Check the URL, or leave the generation out.",
    );
  }
  const generations = [...new Set(files.map(({ generation }) => generation))].toSorted();
  if (snapshots.length === 0) {
    return new HeadwaterError(
      "replica/gap",
      `The Litestream 0.3 backup (generations ${generations.join(", ")}) has no snapshot that a restore could start from. ` +
        "Find the missing files, or restore from another replica.",
      { data: { generations } },
    );
  }
  if (target.kind === "time") {
    const firstMs = snapshots.reduce((ms, one) => Math.min(ms, one.timestampMs), Infinity);
    return new HeadwaterError(
      "replica/unreachable-time",
      `Nothing can be restored from before ${new Date(target.atMs).toISOString()}: the first snapshot of the ` +
        `Litestream 0.3 backup was made at ${new Date(firstMs).toISOString()}. Choose a time after it.`,
      { data: { atMs: target.atMs, firstMs } },
    );
  }
  return new HeadwaterError(
    "replica/generation",
    `There is no snapshot to start from for what was asked. Snapshots: ` +
      `${snapshots.map(({ generation, index }) => `${generation} ${formatIndex(index)}`).join(", ")}. ` +
      "Choose one of these generations, and an index not below its first snapshot.",
    { data: { generations } },
  );
}

function newestMs(files: readonly { readonly timestampMs: number }[]): number {
  return files.reduce((ms, { timestampMs }) => Math.max(ms, timestampMs), -Infinity);
}
