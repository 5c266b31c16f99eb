// Merges consecutive LTX files into one that has the same effect as applying them in order. For each page the
// newest file wins; its frame is copied as it is, without compressing again. Every input is read to its end, so
// every input's checksum is verified. Format: docs/formats/ltx.md, "Merging".
import { assert, must } from "../base/assert.ts";
import { lockPgno } from "../base/page.ts";
import type { Codec } from "../codec/codec.ts";
import { batchPageCount } from "../codec/kernel-areas.ts";
import { CursorHeap } from "./cursor-heap.ts";
import type { LtxReader, PageBatch } from "./decoder.ts";
import { openLtx } from "./decoder.ts";
import { LtxEncoder } from "./encoder.ts";
import { ltxFault } from "./fault.ts";
import type { LtxHeader, LtxProof } from "./header.ts";
import { ltxHeaderLayout } from "./header.ts";

export interface MergeInput {
  /** The file's name in errors. */
  readonly name: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface MergeOptions {
  /** WAL offset in the merged header. By default 0, as Litestream's compaction writes it. */
  readonly walOffset?: bigint | undefined;
  /** Node id in the merged header. By default 0. */
  readonly nodeId?: bigint | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Memory for the pages of all inputs together. One input takes at least one page. */
const inputPagesBytes = 16 * 1024 * 1024;

/**
 * The merged file, as chunks borrowed until the next. Inputs are given oldest first and must follow each other: each
 * starts at or before the TXID after the last, and ends later. All are open at once; memory is bounded by about
 * 0.2 MB for each. Throws `ltx/order` for inputs that do not follow each other or whose proofs contradict,
 * `ltx/invalid` for different page sizes, and what reading an input throws, naming it.
 */
export async function* mergeLtx(
  codec: Codec,
  inputs: readonly MergeInput[],
  options: MergeOptions = {},
): AsyncGenerator<Uint8Array, void> {
  assert(inputs.length > 0, "nothing to merge");
  await using opened = new AsyncDisposableStack();
  const readers = await openAll(codec, inputs, opened, options);
  const headers = readers.map(({ header }) => header);
  checkChain(headers, inputs);
  const header = mergeHeaders(headers, options);
  using encoder = new LtxEncoder(codec, header);
  const output = new MergeOutput(encoder, header, Math.min(...headers.map(({ commit }) => commit)));
  const limits = pageLimits(headers);
  const cursors = readers.map((reader, order) => new PageCursor(reader, order));
  for (const cursor of cursors) if (!cursor.advance()) await cursor.load();
  const heap = new CursorHeap(cursors);
  for (;;) {
    const newest = must(heap.first, "the newest input");
    const { pgno } = newest;
    if (pgno === Infinity) break;
    if (pgno <= (limits[newest.order] ?? 0)) {
      yield* output.fillUntil(pgno);
      yield* output.add(newest);
    }
    // Older images of the page go by.
    for (let cursor = newest; cursor.pgno === pgno; cursor = must(heap.first, "an input")) {
      if (!cursor.advance()) await cursor.load();
      heap.moved();
    }
  }
  yield* output.fillUntil(header.commit + 1);
  yield encoder.finish();
}

/** Opens every input; those that opened are disposed with `opened` even if another failed. */
async function openAll(
  codec: Codec,
  inputs: readonly MergeInput[],
  opened: AsyncDisposableStack,
  { signal }: MergeOptions,
): Promise<readonly LtxReader[]> {
  const maxBatchPages = (pageSize: number): number => {
    const share = Math.floor(inputPagesBytes / pageSize / inputs.length);
    return Math.max(1, Math.min(batchPageCount(pageSize), share));
  };
  const results = await Promise.allSettled(
    inputs.map(({ name, chunks }) => openLtx(codec, chunks, { name, signal, maxBatchPages })),
  );
  for (const result of results) if (result.status === "fulfilled") opened.use(result.value);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function checkChain(headers: readonly LtxHeader[], inputs: readonly MergeInput[]): void {
  for (let i = 1; i < headers.length; i++) {
    const before = must(headers[i - 1], "a header");
    const after = must(headers[i], "a header");
    const { name } = must(inputs[i], "an input");
    const at = (field: keyof typeof ltxHeaderLayout): { name: string; offset: number } => ({
      name,
      offset: ltxHeaderLayout[field][0],
    });
    if (after.pageSize !== before.pageSize) {
      const problem = `page size ${after.pageSize} follows page size ${before.pageSize}`;
      throw ltxFault("ltx/invalid", at("pageSize"), problem);
    }
    if (after.minTxid > before.maxTxid + 1n || after.maxTxid <= before.maxTxid) {
      const problem = `TXIDs ${after.minTxid}-${after.maxTxid} do not follow TXID ${before.maxTxid}`;
      throw ltxFault("ltx/order", at("minTxid"), problem);
    }
    const isNext = after.minTxid === before.maxTxid + 1n;
    const left = before.proof?.after ?? 0n;
    const right = after.proof?.before ?? 0n;
    if (isNext && left !== 0n && right !== 0n && left !== right) {
      const problem = "its proof starts from another database than the file before it leaves";
      throw ltxFault("ltx/order", at("proofBefore"), problem);
    }
  }
}

function mergeHeaders(headers: readonly LtxHeader[], options: MergeOptions): LtxHeader {
  const first = must(headers[0], "a header");
  const last = must(headers.at(-1), "a header");
  return {
    pageSize: first.pageSize,
    commit: last.commit,
    minTxid: first.minTxid,
    maxTxid: last.maxTxid,
    timestampMs: last.timestampMs,
    noChecksum: true,
    preApplyChecksum: 0n,
    walOffset: options.walOffset ?? 0n,
    walSize: 0n,
    walSalt1: 0,
    walSalt2: 0,
    nodeId: options.nodeId ?? 0n,
    proof: mergeProofs(first.proof, last.proof),
  };
}

/** Each end stands for itself: what the first starts from, what the last leaves. */
function mergeProofs(
  first: LtxProof | undefined,
  last: LtxProof | undefined,
): LtxProof | undefined {
  const before = first?.before ?? 0n;
  const after = last?.after ?? 0n;
  return before === 0n && after === 0n ? undefined : { before, after };
}

/** For each input the highest page that survives the inputs after it: a smaller commit cuts off what lies above. */
function pageLimits(headers: readonly LtxHeader[]): readonly number[] {
  const limits: number[] = [];
  let limit = Infinity;
  for (let i = headers.length - 1; i >= 0; i--) {
    limits[i] = limit;
    limit = Math.min(limit, headers[i]?.commit ?? 0);
  }
  return limits;
}

/** Walks the pages of one input. */
class PageCursor {
  /** The page it stands at; `Infinity` after the last. */
  pgno = 0;
  /** Position of its input among all, oldest first. */
  readonly order: number;
  readonly #pageSize: number;
  readonly #batches: AsyncIterator<PageBatch>;
  #batch: PageBatch | undefined;
  #index = -1;

  constructor(reader: LtxReader, order: number) {
    this.order = order;
    this.#pageSize = reader.header.pageSize;
    this.#batches = reader.pages();
  }

  /** Goes to the next page; `false` if it has to be loaded. Frame and page of the last one are then gone. */
  advance(): boolean {
    this.#index++;
    if (this.#index >= (this.#batch?.count ?? 0)) return false;
    this.pgno = this.#batch?.pgnos[this.#index] ?? Infinity;
    return true;
  }

  /** Reads on to the next page, or to the end. */
  async load(): Promise<void> {
    do {
      const next = await this.#batches.next();
      this.#batch = next.done === true ? undefined : next.value;
    } while (this.#batch?.count === 0);
    this.#index = 0;
    this.pgno = this.#batch?.pgnos[0] ?? Infinity;
  }

  get page(): Uint8Array {
    const { pages } = must(this.#batch, "a page");
    return pages.subarray(this.#index * this.#pageSize, (this.#index + 1) * this.#pageSize);
  }

  /** The frame, `undefined` if it is of the old format. */
  get frame(): Uint8Array | undefined {
    const { frameBytes, frameStarts, isLegacy } = must(this.#batch, "a frame");
    if (isLegacy) return undefined;
    return frameBytes.subarray(frameStarts[this.#index], frameStarts[this.#index + 1]);
  }
}

/** Collects the merged pages in order. */
class MergeOutput {
  readonly #encoder: LtxEncoder;
  readonly #header: LtxHeader;
  /** Above this the database once ended, so pages that nobody wrote since are zeros. */
  readonly #lowCommit: number;
  #nextPgno = 1;

  constructor(encoder: LtxEncoder, header: LtxHeader, lowCommit: number) {
    this.#encoder = encoder;
    this.#header = header;
    this.#lowCommit = lowCommit;
  }

  /** Writes the zero pages that lie between the last page and `pgno`. Sound chains have none. */
  *fillUntil(pgno: number): Generator<Uint8Array> {
    const { pageSize } = this.#header;
    const lock = lockPgno(pageSize);
    let zeros: Uint8Array | undefined;
    for (let at = Math.max(this.#nextPgno, this.#lowCommit + 1); at < pgno; at++) {
      if (at === lock) continue;
      zeros ??= new Uint8Array(pageSize);
      yield* this.#encode(at, zeros);
    }
  }

  *add(cursor: PageCursor): Generator<Uint8Array> {
    const { pgno, frame, page } = cursor;
    if (frame === undefined) {
      yield* this.#encode(pgno, page);
    } else {
      if (!this.#encoder.hasRoom(frame.length)) yield this.#encoder.flush();
      this.#encoder.copyFrame(pgno, frame, page);
    }
    this.#nextPgno = pgno + 1;
  }

  *#encode(pgno: number, page: Uint8Array): Generator<Uint8Array> {
    const copied = this.#encoder.flush();
    if (copied.length > 0) yield copied;
    yield this.#encoder.encodePages(Uint32Array.of(pgno), 0, 1, page);
    this.#nextPgno = pgno + 1;
  }
}
