// Makes a database from a backup of Litestream 0.3: the snapshot, then WAL after WAL. Our own reader applies the WALs,
// not SQLite's checkpoint, because SQLite ends at the first frame that does not fit as if the WAL ended there: a damaged
// backup would give an older database without a word. Format and rules: docs/formats/litestream-0.3.md.
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError, messageOf } from "../../core/base/errors.ts";
import type { FileSystem, OpenFile } from "../../core/base/file-system.ts";
import { decodeLz4Stream } from "../../core/codec/lz4-stream.ts";
import {
  type GenerationFile,
  type GenerationPlan,
  segmentGap,
} from "../../core/replica/generations.ts";
import {
  decodeDatabaseHeader,
  databaseHeaderSizeBytes,
} from "../../core/sqlite/database-header.ts";
import { WalReplay } from "../../core/sqlite/wal-replay.ts";
import { walFrameHeaderSizeBytes, walFrameOffset } from "../../core/sqlite/wal.ts";
import type { Download } from "./download.ts";
import { type Output, openScratch, removeScratch } from "./output.ts";

/** Pages on their way from a WAL to the database at the same time. */
const pagesAtOnce = 256;

export interface GenerationOptions extends Waiting {
  readonly fileSystem: FileSystem;
  /** Reads the plan's snapshot, then its segments. */
  readonly download: Download;
  /** Empty, open for writing. */
  readonly output: OpenFile;
  /** Where the output goes: one WAL at a time, which may be larger than memory, is collected beside it. */
  readonly target: Output;
}

/**
 * Writes the database that `plan` gives, syncs it, and resolves to its size. Throws `replica/generation` naming a damaged
 * file, or `replica/gap` naming the one before which something is missing; the output is then worthless.
 */
export async function applyGeneration(
  plan: GenerationPlan,
  options: GenerationOptions,
): Promise<number> {
  const { fileSystem, output, target, signal } = options;
  const database = await writeSnapshot(plan.snapshot, options);
  const segmentsByIndex = Map.groupBy(plan.segments, ({ index }) => index);
  try {
    for (const segments of segmentsByIndex.values()) {
      await using wal = await openScratch(fileSystem, target);
      const replay = await collectWal(segments, plan, { ...options, wal });
      await applyWal(replay, wal, database, options);
      signal?.throwIfAborted();
    }
  } finally {
    await removeScratch(fileSystem, target);
  }
  await output.sync();
  return database.sizeBytes;
}

interface DatabaseShape {
  readonly key: string;
  readonly pageSize: number;
  sizeBytes: number;
}

async function writeSnapshot(
  snapshot: GenerationFile,
  { download, output }: GenerationOptions,
): Promise<DatabaseShape> {
  const start = new Uint8Array(databaseHeaderSizeBytes);
  let sizeBytes = 0;
  for await (const piece of decode(snapshot, download)) {
    if (sizeBytes < start.length) {
      start.set(piece.subarray(0, start.length - sizeBytes), sizeBytes);
    }
    await output.write(piece, sizeBytes);
    sizeBytes += piece.length;
  }
  const { pageSize } = named(snapshot, () => decodeDatabaseHeader(start));
  if (sizeBytes % pageSize !== 0) {
    throw damaged(snapshot, `it holds ${sizeBytes} bytes, which are no whole pages`);
  }
  return { key: snapshot.key, pageSize, sizeBytes };
}

/** Joins the segments of one index into a WAL and checks every frame of it. */
async function collectWal(
  segments: readonly GenerationFile[],
  { snapshot, segments: all }: GenerationPlan,
  { download, wal }: GenerationOptions & { readonly wal: OpenFile },
): Promise<WalReplay> {
  const replay = new WalReplay();
  for (const segment of segments) {
    if (segment.offset !== replay.sizeBytes) throw segmentGap(segment, snapshot, segment.index - 1);
    for await (const piece of decode(segment, download)) {
      await wal.write(piece, replay.sizeBytes);
      named(segment, () => {
        replay.add(piece);
      });
    }
  }
  // Litestream 0.3 ships whole transactions. One that stops half-way has lost its rest, unless it is simply the newest.
  const next = all.find(({ index }) => index > (segments[0]?.index ?? 0));
  if (next !== undefined && !replay.endsWithCommit) {
    throw segmentGap(next, snapshot, next.index - 2);
  }
  return replay;
}

/** As a checkpoint does: the newest committed image of every page, then the size of the last commit. */
async function applyWal(
  { header, commit, frameByPgno }: WalReplay,
  wal: OpenFile,
  database: DatabaseShape,
  { output }: GenerationOptions,
): Promise<void> {
  const { pageSize } = database;
  if (header !== undefined && header.pageSize !== pageSize) {
    throw new HeadwaterError(
      "replica/foreign-file",
      `${database.key} has pages of ${pageSize} bytes, a WAL after it of ${header.pageSize}: ` +
        "they belong to different databases. Restore an earlier time.",
      { data: { key: database.key, pageSize, walPageSize: header.pageSize } },
    );
  }
  if (commit === undefined) return;
  const pgnos = [...frameByPgno.keys()].filter((pgno) => pgno <= commit).toSorted((x, y) => x - y);
  const pages = new Uint8Array(pagesAtOnce * pageSize);
  for (let from = 0; from < pgnos.length; from += pagesAtOnce) {
    const some = pgnos.slice(from, from + pagesAtOnce);
    await Promise.all(
      some.map((pgno, n) => {
        const into = pages.subarray(n * pageSize, (n + 1) * pageSize);
        const frameAt = walFrameOffset(frameByPgno.get(pgno) ?? 0, pageSize);
        return wal.read(into, frameAt + walFrameHeaderSizeBytes);
      }),
    );
    await Promise.all(
      runsOf(some).map(([first, end]) =>
        output.write(
          pages.subarray(first * pageSize, end * pageSize),
          ((some[first] ?? 0) - 1) * pageSize,
        ),
      ),
    );
  }
  database.sizeBytes = commit * pageSize;
  await output.truncate(database.sizeBytes);
}

/** Neighbouring pages, as `[first, end)` in `pgnos`: each run is one write. */
function runsOf(pgnos: readonly number[]): readonly (readonly [number, number])[] {
  const runs: (readonly [number, number])[] = [];
  for (let first = 0; first < pgnos.length;) {
    let end = first + 1;
    while (end < pgnos.length && pgnos[end] === (pgnos[first] ?? 0) + (end - first)) end++;
    runs.push([first, end]);
    first = end;
  }
  return runs;
}

function decode(file: GenerationFile, download: Download): AsyncGenerator<Uint8Array> {
  return decodeLz4Stream(download.read(file), { fail: (reason) => damaged(file, reason) });
}

/** Runs work on a file's content; what is wrong with it names the file. */
function named<T>(file: GenerationFile, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === "sqlite/invalid") {
      throw damaged(file, messageOf(error), error);
    }
    throw error;
  }
}

function damaged({ key }: GenerationFile, reason: string, cause?: unknown): HeadwaterError {
  return new HeadwaterError(
    "replica/generation",
    `${key} is damaged: ${reason.replace(/\.$/u, "")}. Restore a time or an index before it.`,
    { data: { key }, cause },
  );
}
