// The last state that an output and its replica have in common, and which pages are as they were in it on both sides.
import { type Waiting, mapConcurrent } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { PageChecksums } from "../../core/ltx/page-checksums.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { readFileHeader } from "../../core/replica/compaction-input.ts";
import { planAdvance } from "../../core/replica/plan.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { readFileIndex } from "../../core/view/file-index.ts";
import type { View } from "../../core/view/view.ts";
import type { ChangedPages, RecentState } from "./recent-states.ts";

/** Indexes that are read at once. */
const indexReadLimit = 12;
/** What a request costs, in bytes that a store sends in its time. */
const requestCostBytes = 64 * 1024;
/** Files after the last common TXID that are looked at for a state of the output. */
const maxLooks = 8;

export interface CommonState {
  /** The newest TXID at which both were the same; 0n if none is known. */
  readonly base: bigint;
  /** The checksum of a page that neither side has changed since the common state; `undefined` for any other. */
  expected(pgno: number): bigint | undefined;
  /** Whether the page may be another than at `base`. */
  isChanged(pgno: number): boolean;
}

export interface CommonStateOptions extends Waiting {
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** What the replica holds. */
  readonly files: readonly ReplicaFile[];
  /** The states of the output, newest first. The first of them is what `checksums` are of. */
  readonly recent: readonly RecentState[];
  readonly checksums: PageChecksums;
  /** The replica has gone another way than the newest of these states. */
  readonly isAnotherHistory: boolean;
  /** What it may cost to find out. */
  readonly budgetBytes: number;
}

type ReplicaOptions = Omit<CommonStateOptions, "recent" | "checksums">;

/** A state of the output, and the TXID at which the replica is the same. */
interface Meeting {
  readonly here: Txid;
  readonly there: Txid;
}

/**
 * `undefined` if there is none, or none that says anything of single pages. Files that are damaged or gone say nothing. Throws what
 * the store throws.
 */
export async function findCommonState(
  view: View,
  { checksums, recent, ...options }: CommonStateOptions,
): Promise<CommonState | undefined> {
  if (checksums.pageSize !== view.map.pageSize) return undefined;
  const base = await newestShared(view.txid, recent, options);
  const meeting =
    (await newestAlike(base ?? 0n, view.txid, recent, options)) ??
    (base && { here: base, there: base });
  if (meeting === undefined) return undefined;
  const here = changedHere(recent, { after: meeting.here });
  const before = changedHere(recent, { after: base ?? 0n, upTo: meeting.here });
  const there = await changedThere(meeting.there, view, options);
  if (here === undefined || there === undefined) return undefined;
  return {
    base: before === undefined ? 0n : (base ?? 0n),
    isChanged: (pgno) => before?.has(pgno) !== false || there(pgno),
    expected: (pgno) => {
      const isKnown = pgno <= checksums.commit && !here.has(pgno) && !there(pgno);
      return isKnown ? checksums.get(pgno) : undefined;
    },
  };
}

/** The newest TXID at which both were the same. Where no file tells, and nothing speaks against it, that of the output. */
async function newestShared(
  head: bigint,
  recent: readonly RecentState[],
  { files, isAnotherHistory, ...options }: ReplicaOptions,
): Promise<Txid | undefined> {
  const fileByTxid = new Map(files.map((file) => [file.maxTxid, file]));
  const states = recent.filter(({ txid }) => txid <= head);
  const candidates = states.flatMap((state) => {
    const file = fileByTxid.get(state.txid);
    return file === undefined ? [] : [{ state, file }];
  });
  const [newest] = states;
  const isUntold = newest === recent[0] && newest?.txid !== candidates[0]?.state.txid;
  if (isUntold && !isAnotherHistory) return newest?.txid;
  // Histories that have parted do not meet again at a TXID, so halving finds the place; the newest is the most likely one.
  let [low, high] = [0, candidates.length];
  for (let at = 0; low < high; at = (low + high) >>> 1) {
    const candidate = candidates[at];
    if (candidate === undefined) break;
    const after = await checksumAfter(candidate.file, options);
    if (after === candidate.state.databaseChecksum) high = at;
    else low = at + 1;
  }
  return candidates[low]?.state.txid;
}

/**
 * Another history can lead to a state that the output knows, at another TXID: a primary that has lost what it knew of its replica
 * writes its database anew, which the output has long had. Looks at the first files after `base`.
 */
async function newestAlike(
  base: bigint,
  head: bigint,
  recent: readonly RecentState[],
  { files, isAnotherHistory, ...options }: ReplicaOptions,
): Promise<Meeting | undefined> {
  if (!isAnotherHistory) return undefined;
  const stateByChecksum = new Map(
    recent.toReversed().map((state) => [state.databaseChecksum, state.txid]),
  );
  const fileByTxid = new Map(
    files
      .filter(({ maxTxid }) => maxTxid > base && maxTxid <= head)
      .map((file) => [file.maxTxid, file]),
  );
  const looks = [...fileByTxid.values()]
    .toSorted((a, b) => (a.maxTxid < b.maxTxid ? -1 : 1))
    .slice(0, maxLooks);
  const found = await mapConcurrent(looks, maxLooks, async (file) => ({
    here: stateByChecksum.get((await checksumAfter(file, options)) ?? 0n),
    there: file.maxTxid,
  }));
  return found.findLast((one): one is Meeting => one.here !== undefined);
}

/** The database checksum after a file, by its own account; `undefined` if it gives none. Throws what the store throws. */
export async function checksumAfter(
  file: ReplicaFile,
  { store, signal }: Waiting & { readonly store: ObjectStore },
): Promise<bigint | undefined> {
  const header = await unlessFaulty(() => readFileHeader({ store, signal }, file));
  return header?.proof?.after;
}

/** Pages that may have been changed. */
class PageSet {
  readonly #pgnos = new Set<number>();
  #floor = Infinity;

  add({ pgnos, floor }: ChangedPages): void {
    for (const pgno of pgnos) this.#pgnos.add(pgno);
    this.#floor = Math.min(this.#floor, floor);
  }

  has(pgno: number): boolean {
    return pgno > this.#floor || this.#pgnos.has(pgno);
  }
}

/** What the output has changed after one TXID, up to another; `undefined` if that is not known. */
function changedHere(
  recent: readonly RecentState[],
  { after, upTo }: { readonly after: bigint; readonly upTo?: bigint },
): PageSet | undefined {
  const pages = new PageSet();
  for (const { txid, changed } of recent) {
    if (txid <= after || (upTo !== undefined && txid > upTo)) continue;
    if (changed === undefined) return undefined;
    pages.add(changed);
  }
  return pages;
}

/**
 * What the replica may have changed between `txid` and the view: nothing that lies in a file that ends at that TXID or before. If
 * there is a newer full image, the files beside it have to tell. `undefined`: they do not, or it would cost too much.
 */
async function changedThere(
  txid: Txid,
  view: View,
  { files, store, codec, budgetBytes, signal }: Omit<ReplicaOptions, "isAnotherHistory">,
): Promise<((pgno: number) => boolean) | undefined> {
  const isNewer = (pgno: number): boolean => (view.fileOf(pgno)?.maxTxid ?? view.txid) > txid;
  const isImageNewer = view.files.some(({ minTxid, maxTxid }) => minTxid === 1n && maxTxid > txid);
  if (!isImageNewer) return isNewer;
  const advance = planAdvance(files, txid);
  const isWhole = advance.at(-1)?.maxTxid === view.txid;
  if (!isWhole || advance.length * requestCostBytes > budgetBytes) return undefined;
  const pages = new PageSet();
  const { pageSize } = view.map;
  const read = await unlessFaulty(() =>
    mapConcurrent(advance, indexReadLimit, async (file) => {
      const { index, head } = await readFileIndex(store, file, { codec, pageSize, signal });
      pages.add({ pgnos: index.columns.pgnos, floor: head.commit });
    }),
  );
  return read && ((pgno) => isNewer(pgno) && pages.has(pgno));
}

/** `undefined` where a file is damaged or gone. */
async function unlessFaulty<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isFileFault(error)) return undefined;
    throw error;
  }
}

/** Whether an error is about what a replica holds, not about reaching it. */
export function isFileFault(error: unknown): error is HeadwaterError {
  return (
    error instanceof HeadwaterError &&
    /^(?:ltx|replica|view)[/]|^store[/](?:changed|length)$/u.test(error.code)
  );
}
