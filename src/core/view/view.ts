// One reader's view: a TXID that stays what it is until the reader lets go, even where the files it lies in are merged and
// deleted meanwhile.
import { type Waiting, mapConcurrent, orAborted } from "../base/async.ts";
import { HeadwaterError, hasCode } from "../base/errors.ts";
import { formatTxid, toTxid } from "../ltx/txid.ts";
import type { Fetcher } from "./fetcher.ts";
import type { FileTable, ViewFile } from "./file-table.ts";
import type { FrameCache } from "./frame-cache.ts";
import type { ProvedMap } from "./map-builder.ts";
import type { PageMap } from "./page-map.ts";
import type { FileProof, PageProofs } from "./page-proofs.ts";

/** Checksum files that are read at once. */
const proofReadLimit = 12;

/** Times in a row that a view is planned anew for one page before it gives up. */
const maxReplans = 3;

export interface ViewTools {
  readonly cache: FrameCache;
  readonly fetcher: Fetcher;
  readonly files: FileTable;
  readonly proofs: PageProofs;
  /** Hands over another map of the same TXID, from the files that are there now. */
  readonly replan: (old: ProvedMap, adopt: (found: ProvedMap) => void) => Promise<void>;
  readonly onDispose: (view: View) => void;
}

export class View implements Disposable {
  readonly #tools: ViewTools;
  #state: ProvedMap;
  #replanning: Promise<void> | undefined;

  constructor(state: ProvedMap, tools: ViewTools) {
    this.#state = state;
    this.#tools = tools;
  }

  /** Lets go. Nothing may be read any more. */
  [Symbol.dispose](): void {
    this.#tools.onDispose(this);
  }

  /** Where its pages lie now. Another map of the same TXID follows when files are gone; it reads the same. */
  get map(): PageMap {
    return this.#state.map;
  }

  /** The map, and what its files prove of the database. */
  get state(): ProvedMap {
    return this.#state;
  }

  get txid(): bigint {
    return this.map.txid;
  }

  /** The database checksum that the newest of its files proves; 0n = none. */
  get after(): bigint {
    return this.#state.after;
  }

  /** The files that its pages lie in now. */
  get files(): readonly ViewFile[] {
    return [...this.map.files()].map((number) => this.#tools.files.get(number));
  }

  /** The file that holds a page now; `undefined` for a page of zeros that no file holds. */
  fileOf(pgno: number): ViewFile | undefined {
    const frame = this.map.locate(pgno);
    return frame && this.#tools.files.get(frame.file);
  }

  /** What pages must hash to, for those whose file has a checksum file. Costs one read for each such file. Throws what the store throws. */
  async checksums({ signal }: Waiting): Promise<(pgno: number) => bigint | undefined> {
    const { map } = this;
    const proofByFile = new Map<number, FileProof>();
    await mapConcurrent([...map.files()], proofReadLimit, async (file) => {
      const proof = await this.#tools.proofs.of(file, { signal });
      if (proof !== undefined) proofByFile.set(file, proof);
    });
    return (pgno) => {
      const frame = map.locate(pgno);
      return frame && proofByFile.get(frame.file)?.get(pgno);
    };
  }

  /**
   * Brings a page into the cache and returns the map that leads to it, which is another than before if files were gone.
   * Throws `view/too-old` if no files make this TXID any more, `view/corrupt-page`, and what the store throws.
   */
  async fetch(pgno: number, { signal }: Waiting): Promise<PageMap> {
    return this.#survive((map) => this.#tools.fetcher.fetch(map, pgno, { signal }), { signal });
  }

  /** Brings pages into the cache, and none but these: `Fetcher.fetchAll`. Throws as `fetch`. */
  async fetchAll(pgnos: readonly number[], { signal }: Waiting): Promise<PageMap> {
    return this.#survive((map) => this.#tools.fetcher.fetchAll(map, pgnos, { signal }), { signal });
  }

  /**
   * Brings a page into the cache while the caller stands still: `Fetcher.fetchNow`. Throws as `fetch`, but `store/changed` where
   * that would plan the view anew.
   */
  fetchNow(pgno: number): PageMap {
    const { map } = this;
    this.#tools.fetcher.fetchNow(map, pgno);
    return map;
  }

  /** Fetches interior pages: `Fetcher.prefetch`. */
  async prefetch({ signal }: Waiting): Promise<PageMap> {
    return this.#survive((map) => this.#tools.fetcher.prefetch(map, { signal }), { signal });
  }

  /** The reader met a marked page: `Fetcher.touch`. */
  touch(pgno: number): void {
    this.#tools.fetcher.touch(this.map, pgno);
  }

  /** Copies a page, fetching it if need be. Zeros for a page that no file holds. Throws as `fetch`. */
  async read(pgno: number, into: Uint8Array, { signal }: Waiting): Promise<void> {
    for (;;) {
      const frame = this.map.locate(pgno);
      if (frame === undefined) {
        into.fill(0);
        return;
      }
      const found = this.#tools.cache.read(frame, into);
      if (found === "touch") this.touch(pgno);
      if (found !== "miss") return;
      await this.fetch(pgno, { signal });
    }
  }

  async #survive(work: (map: PageMap) => Promise<void>, { signal }: Waiting): Promise<PageMap> {
    for (let replans = 0; ; replans++) {
      const { map } = this;
      try {
        await work(map);
        return map;
      } catch (error) {
        if (!hasCode(error, "store/changed")) throw error;
        if (replans === maxReplans) throw tooOld(map.txid, error);
      }
      if (this.map === map) await this.#replan({ signal });
    }
  }

  /** One for all pages that are missing at once. */
  async #replan({ signal }: Waiting): Promise<void> {
    const adopt = (found: ProvedMap): void => {
      this.#state = found;
    };
    this.#replanning ??= this.#tools.replan(this.#state, adopt).finally(() => {
      this.#replanning = undefined;
    });
    await orAborted(this.#replanning, { signal });
  }
}

/** The error for a TXID that no files make any more. */
export function tooOld(txid: bigint, cause: unknown): HeadwaterError {
  return new HeadwaterError(
    "view/too-old",
    `Snapshot too old: TXID ${formatTxid(toTxid(txid))} can no longer be read, its files were merged or deleted. ` +
      "End the transaction and read again, which sees the newest state, or keep history longer (retention).",
    { data: { txid }, cause },
  );
}
