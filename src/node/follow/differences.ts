// What an output has otherwise than the newest state of its replica, fetched page by page. A page is fetched unless it is known
// what it must be: by a checksum file of the replica, or because neither side has changed it since a state that both have in
// common. Whatever that knowledge is worth, the whole is proved before anything is written: the database checksum is that
// which the newest file of the replica gives.
import type { Waiting } from "../../core/base/async.ts";
import { must } from "../../core/base/assert.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import { lockPgno } from "../../core/base/page.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { type PageChecksums, checksumPages } from "../../core/ltx/page-checksums.ts";
import { formatTxid, toTxid } from "../../core/ltx/txid.ts";
import type { ReplicaFile } from "../../core/replica/catalog.ts";
import { ChainState } from "../../core/replica/chain-state.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { takePatchedBytes } from "../../core/sqlite/patched-header.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { listChecksumFiles } from "../../core/view/checksum-file.ts";
import { fetchDefaults } from "../../core/view/fetcher.ts";
import { ReplicaViews } from "../../core/view/replica-views.ts";
import type { View } from "../../core/view/view.ts";
import { withChecksumKeys } from "../../core/view/view-files.ts";
import type { Environment } from "../restore/environment.ts";
import { type ProvedChange, type Target, openSpool } from "./collected-change.ts";
import { type CommonState, findCommonState } from "./common-state.ts";
import type { NewestState } from "./new-files.ts";
import { readFirstPage } from "./page-change.ts";
import type { HeldOutput, StrangeOutput } from "./recognize.ts";
import type { Descent, RecentState } from "./recent-states.ts";
import { Spool } from "./spool.ts";

/** Pages that are fetched, and held in memory, at a time. */
const batchBytes = 8 * 1024 * 1024;
/** Room enough that a batch does not push out its own pages. */
const cacheBytes = 4 * batchBytes;
/** Where more than this share of a whole image would have to be fetched, it comes faster as a whole. */
const maxShare = 0.5;

export interface DifferencesOptions extends Waiting {
  readonly environment: Environment;
  readonly store: ObjectStore;
  readonly codec: Codec;
  /** Of the output: absolute, links resolved. */
  readonly path: string;
  readonly parallelism: number;
  /** What the output was lately, newest first. */
  readonly recent: readonly RecentState[];
  /** The replica is known to have gone another way than the output. */
  readonly isAnotherHistory: boolean;
  /** Lists the replica anew, should files go meanwhile. */
  readonly list: (waiting: Waiting) => Promise<readonly ReplicaFile[]>;
  readonly onBytes?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

/**
 * What makes the output the newest state, if fetching single pages is worth it: the newest file has to prove its state, the page
 * size must be the same, and most pages have to be known. Else `undefined`. Throws what views throw, `replica/proof` if
 * the pages are not those captured, and what the store throws.
 */
export async function fetchDifferences(
  output: HeldOutput | StrangeOutput,
  newest: NewestState,
  options: DifferencesOptions,
): Promise<ProvedChange | undefined> {
  const { store, codec, recent, isAnotherHistory, signal } = options;
  await using views = await openViews(newest, options);
  using view = views.newest();
  const { checksums: old } = output;
  const known = output.kind === "held" ? output : output.known;
  if (view.after === 0n || view.map.pageSize !== old.pageSize) return undefined;
  const budgetBytes = maxShare * newest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const common =
    known &&
    (await findCommonState(view, {
      store,
      codec,
      files: newest.listed,
      recent,
      checksums: known.checksums,
      isAnotherHistory,
      budgetBytes,
      signal,
    }));
  const proved = await view.checksums({ signal });
  const patched = known?.position.patched;
  const isSame = (pgno: number): boolean =>
    pgno <= old.commit &&
    (pgno > 1 || patched !== undefined) &&
    (proved(pgno) ?? common?.expected(pgno)) === old.get(pgno);
  const pgnos = pagesWhere(view, (pgno) => !isSame(pgno));
  if (sizeOf(view, pgnos) > budgetBytes) return undefined;
  await using stack = new AsyncDisposableStack();
  const spool = new Spool(
    await openSpool(options.environment.fileSystem, options.path, stack),
    old,
  );
  const checksums = await fetchPages(view, pgnos, { ...options, old, spool });
  if (checksums.databaseChecksum !== view.after) throw notCaptured(view);
  const change = spool.toChange();
  const first = await readFirstPage(change);
  const target: Target = {
    state: ChainState.at(view.txid, checksums),
    newest: must(newest.files.at(-1), "last file of a plan"),
    timestampMs: view.map.timestampMs,
    imageTxid: newest.imageTxid,
    isProved: true,
    patched: must(first === undefined ? patched : takePatchedBytes(first), "page 1 or its bytes"),
  };
  const spooled = stack.move();
  return {
    change,
    target,
    descent: descentOf(view, common),
    [Symbol.asyncDispose]: () => spooled.disposeAsync(),
  };
}

/** The newest state, as it was listed; listed anew where files go meanwhile. */
function openViews(
  { files, listed }: NewestState,
  { environment, store, codec, parallelism, list, signal }: DifferencesOptions,
): Promise<ReplicaViews> {
  const { maxTxid: txid } = must(files.at(-1), "last file of a plan");
  let known: readonly ReplicaFile[] | undefined = listed;
  const limits = { ...fetchDefaults, maxRequests: parallelism, maxAheadRequests: parallelism };
  return ReplicaViews.open(
    {
      store,
      layout: layoutForUrl(store.url),
      codec,
      cacheBytes,
      limits,
      logger: environment.logger,
      list: async (waiting) => {
        const now = known ?? (await list(waiting));
        known = undefined;
        return withChecksumKeys(now, await listChecksumFiles(store, waiting));
      },
    },
    { signal, target: { kind: "txid", txid } },
  );
}

/** Page numbers, ascending. */
function pagesWhere({ map }: View, matches: (pgno: number) => boolean): readonly number[] {
  const lock = lockPgno(map.pageSize);
  const pgnos: number[] = [];
  for (let pgno = 1; pgno <= map.commit; pgno++) {
    if (pgno !== lock && matches(pgno)) pgnos.push(pgno);
  }
  return pgnos;
}

function sizeOf({ map }: View, pgnos: readonly number[]): number {
  return pgnos.reduce((sum, pgno) => sum + (map.locate(pgno)?.sizeBytes ?? 0), 0);
}

/** Brings pages into the spool. Returns the checksums of the output with them. */
async function fetchPages(
  view: View,
  pgnos: readonly number[],
  {
    codec,
    old,
    spool,
    onBytes,
    signal,
  }: DifferencesOptions & { readonly old: PageChecksums; readonly spool: Spool },
): Promise<PageChecksums> {
  const { pageSize, commit } = view.map;
  const table = old.clone();
  table.truncate(commit);
  await spool.begin(view.map);
  const totalBytes = sizeOf(view, pgnos);
  let doneBytes = 0;
  const limit = batchBytes / pageSize;
  const pages = new Uint8Array(Math.min(limit, pgnos.length) * pageSize);
  const checksums = new BigUint64Array(limit);
  for (let from = 0; from < pgnos.length; from += limit) {
    const batch = Uint32Array.from(pgnos.slice(from, from + limit));
    await view.fetchAll(pgnos.slice(from, from + limit), { signal });
    for (const [index, pgno] of batch.entries()) {
      await view.read(pgno, pages.subarray(index * pageSize, (index + 1) * pageSize), { signal });
    }
    const count = batch.length;
    checksumPages(codec, pageSize, batch, 0, count, pages, checksums);
    table.setMany(batch, 0, count, checksums);
    await spool.write({ count, pgnos: batch, pages });
    doneBytes += sizeOf(view, [...batch]);
    onBytes?.(doneBytes, totalBytes);
  }
  return table;
}

function descentOf(view: View, common: CommonState | undefined): Descent {
  if (common === undefined || common.base === 0n) return { base: 0n, changed: undefined };
  const pgnos = Uint32Array.from(pagesWhere(view, (pgno) => common.isChanged(pgno)));
  return { base: common.base, changed: { pgnos, floor: view.map.commit } };
}

/** A page is not what it was taken for, or was damaged on its way. */
function notCaptured({ txid }: View): HeadwaterError {
  return new HeadwaterError(
    "replica/proof",
    `The pages that were fetched do not give the database that was captured at TXID ${formatTxid(toTxid(txid))}. ` +
      "A full image is fetched instead.",
    { data: { txid } },
  );
}
