// The pages of databases in memory, served as those of a replica are: page maps and a frame cache that threads share. Fails
// and waits when a test says so.
import { tableOf } from "./frame-tables.ts";
import { FrameCache } from "../../src/core/view/frame-cache.ts";
import type { FrameRef } from "../../src/core/view/frame-table.ts";
import { PageMap } from "../../src/core/view/page-map.ts";
import { type Txid, toTxid } from "../../src/core/ltx/txid.ts";
import { HeadwaterError } from "../../src/core/base/errors.ts";
import type { Waiting } from "../../src/core/base/async.ts";
import type { ViewTarget } from "../../src/core/view/replica-views.ts";
import type { BlockingView } from "../../src/core/vfs/direct-source.ts";
import type { ReplicaPages } from "../../src/core/vfs/replica-pages.ts";

export interface MemoryPagesOptions {
  readonly pageSize: number;
  readonly cacheBytes?: number;
}

/** TXID n is `files[n - 1]`. */
export class MemoryPages implements ReplicaPages<BlockingView> {
  readonly cache: FrameCache;
  txid: Txid;
  /** What `refresh` finds. */
  head: number;
  /** TXIDs of the views that were let go. */
  readonly released: bigint[] = [];
  fetched = 0;
  /** Pages that were touched. */
  readonly touched: number[] = [];
  /** Which pages come in marked. */
  isMarked: (pgno: number) => boolean = () => false;
  /** Added to the numbers of files: another number is another place for all pages. */
  place = 0;
  /** Called before each fetch. */
  beforeFetch: (pgno: number, waiting: Waiting) => Promise<void> | void = () => undefined;
  /** Called before each fetch for a reader that stands still. */
  beforeFetchNow: (pgno: number) => void = () => undefined;
  readonly #files: readonly Uint8Array[];
  readonly #pageSize: number;

  get generation(): number {
    return Number(this.txid);
  }

  constructor(
    files: readonly Uint8Array[],
    { pageSize, cacheBytes = 4 << 20 }: MemoryPagesOptions,
  ) {
    this.#files = files;
    this.#pageSize = pageSize;
    this.cache = FrameCache.create({ pageSize, capacityBytes: cacheBytes, isShared: true });
    this.head = files.length;
    this.txid = toTxid(this.head);
  }

  newest(): BlockingView {
    return this.#pin(Number(this.txid));
  }

  async at(moment: ViewTarget): Promise<BlockingView> {
    if (moment.kind === "txid") return this.#pin(Number(moment.txid));
    return this.#pin(Math.min(this.#files.length, Math.ceil(moment.beforeMs / 1000) - 1));
  }

  async refresh(): Promise<boolean> {
    const isNew = this.head !== Number(this.txid);
    this.txid = toTxid(this.head);
    return isNew;
  }

  #pin(txid: number): BlockingView {
    let place = this.place;
    let map = this.#mapOf(txid, place);
    return {
      get map() {
        return map;
      },
      fetch: async (pgno, waiting) => {
        this.fetched++;
        await this.beforeFetch(pgno, waiting);
        if (place !== this.place) {
          ({ place } = this);
          map = this.#mapOf(txid, place);
        }
        this.#load(txid, map.locate(pgno), this.isMarked(pgno));
        return map;
      },
      fetchNow: (pgno) => {
        this.fetched++;
        this.beforeFetchNow(pgno);
        if (place !== this.place) {
          throw new HeadwaterError("store/changed", "the files were merged");
        }
        this.#load(txid, map.locate(pgno), false);
        return map;
      },
      touch: (pgno) => void this.touched.push(pgno),
      [Symbol.dispose]: () => void this.released.push(BigInt(txid)),
    };
  }

  #load(txid: number, frame: FrameRef | undefined, isMarked: boolean): void {
    const file = this.#files[txid - 1];
    if (frame === undefined || file === undefined) throw new Error("there is no such page");
    const page = file.subarray(frame.offset, frame.offset + this.#pageSize);
    this.cache.put(frame, page, { isMarked });
  }

  #mapOf(txid: number, place: number): PageMap {
    const { length } = this.#files[txid - 1] ?? new Uint8Array(0);
    if (length === 0) throw new HeadwaterError("replica/unreachable-txid", `no TXID ${txid}`);
    const commit = length / this.#pageSize;
    const entries = Array.from({ length: commit }, (_, page) => ({
      pgno: page + 1,
      offset: page * this.#pageSize,
      sizeBytes: this.#pageSize,
    }));
    const state = {
      pageSize: this.#pageSize,
      commit,
      minTxid: toTxid(1),
      maxTxid: toTxid(txid),
      timestampMs: txid * 1000,
    };
    const empty = PageMap.empty(this.#pageSize, { isShared: true });
    return empty.apply(state, tableOf(1000 * place + txid, entries, { isShared: true }));
  }
}
