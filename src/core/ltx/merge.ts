// Merges consecutive LTX files into one that has the same effect as applying them in order. For each page the
// newest file wins; its frame is copied as it is, without compressing it or hashing its page again. Every input is read
// and decoded to its end, so every input's checksum is verified. Format: docs/formats/ltx.md, "Merging".
import { assert, must } from "../base/assert.ts";
import { lockPgno } from "../base/page.ts";
import type { Codec } from "../codec/codec.ts";
import { CursorTree } from "./cursor-tree.ts";
import { LtxReader } from "./decoder.ts";
import { LtxEncoder } from "./encoder.ts";
import type { LtxHeader } from "./header.ts";
import { type MergedHeaderFields, checkChain, mergeHeaders, pageLimits } from "./merge-chain.ts";
import { PageCursor } from "./merge-cursor.ts";
import { type LtxOpening, readLtxOpening } from "./opening.ts";
import { encodePageFrame } from "./page-block.ts";

export interface MergeInput {
  /** The file's name in errors. */
  readonly name: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface MergeOptions extends MergedHeaderFields {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The merged file, as chunks borrowed until the next. Inputs are given oldest first and must follow each other: each
 * starts at or before the TXID after the last, and ends later. All are open at once; their memory is 4 MB together, or one
 * longest frame for each. Each page is decoded and hashed once, where it is read. Throws `ltx/order` for inputs that do not
 * follow each other or whose proofs contradict, `ltx/invalid` for different page sizes, and what reading an input throws,
 * naming it.
 */
export async function* mergeLtx(
  codec: Codec,
  inputs: readonly MergeInput[],
  options: MergeOptions = {},
): AsyncGenerator<Uint8Array, void> {
  assert(inputs.length > 0, "nothing to merge");
  await using opened = new AsyncDisposableStack();
  const openings = await openAll(inputs, opened, options);
  checkChain(openings);
  const headers = openings.map(({ header }) => header);
  const header = mergeHeaders(headers, options);
  const cursors = openCursors(codec, openings, opened);
  using encoder = new LtxEncoder(codec, header);
  const limits = pageLimits(headers);
  // Above this the database once ended, so pages that nobody wrote since are zeros.
  let zerosAfter = Math.min(...headers.map(({ commit }) => commit));
  const tree = new CursorTree(cursors);
  for (const cursor of cursors) if (await cursor.load()) tree.moved(cursor);
  for (let newest = tree.first; newest !== undefined; newest = tree.first) {
    const { pgno } = newest;
    if (pgno <= (limits[newest.order] ?? 0)) {
      if (zerosAfter + 1 < pgno) yield* zeroPages(codec, encoder, header, [zerosAfter + 1, pgno]);
      zerosAfter = Math.max(zerosAfter, pgno);
      const { frame, contentCrc } = newest;
      if (!encoder.hasRoom(frame.length)) yield encoder.flush();
      encoder.copyFrame(pgno, frame, contentCrc);
    }
    // Older images of the page go by.
    for (let cursor = tree.first; cursor?.pgno === pgno; cursor = tree.first) {
      if (cursor.advance() || (await cursor.load())) tree.moved(cursor);
      else tree.ended(cursor);
    }
  }
  yield* zeroPages(codec, encoder, header, [zerosAfter + 1, header.commit + 1]);
  yield encoder.finish();
}

/** Pages from `first` up to, not including, `end`. Sound chains need none. */
function* zeroPages(
  codec: Codec,
  encoder: LtxEncoder,
  { pageSize }: LtxHeader,
  [first, end]: readonly [first: number, end: number],
): Generator<Uint8Array, void> {
  for (let pgno = first; pgno < end; pgno++) {
    if (pgno === lockPgno(pageSize)) continue;
    const { frame, contentCrc } = encodePageFrame(codec, pgno, new Uint8Array(pageSize));
    if (!encoder.hasRoom(frame.length)) yield encoder.flush();
    encoder.copyFrame(pgno, frame, contentCrc);
  }
}

/** Reads the header of every input; those that opened are disposed with `opened` even if another failed. */
async function openAll(
  inputs: readonly MergeInput[],
  opened: AsyncDisposableStack,
  { signal }: MergeOptions,
): Promise<readonly LtxOpening[]> {
  const results = await Promise.allSettled(
    inputs.map(({ name, chunks }) => readLtxOpening(chunks, { name, signal })),
  );
  for (const result of results) if (result.status === "fulfilled") opened.use(result.value);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function openCursors(
  codec: Codec,
  openings: readonly LtxOpening[],
  opened: AsyncDisposableStack,
): readonly PageCursor[] {
  const { header } = must(openings[0], "an input");
  const kernels = codec.openKernels(header.pageSize, openings.length);
  return openings.map((opening, order) => {
    const reader = new LtxReader(opening, must(kernels[order], "a kernel"));
    return new PageCursor(codec, opened.use(reader), order);
  });
}
