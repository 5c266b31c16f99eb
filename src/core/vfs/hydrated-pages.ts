// Views of a replica beside a local copy of it: a page whose frame the copy holds comes from there, any other from the replica.
// Which is which is decided frame by frame, so moments, transactions and newer states are read as without a copy.
import type { Waiting } from "../base/async.ts";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Codec } from "../codec/codec.ts";
import { CopyBlocks, type PageCopy } from "../view/copy-blocks.ts";
import type { FileIdentity } from "../view/copy-index.ts";
import type { FrameCache } from "../view/frame-cache.ts";
import type { PageMap } from "../view/page-map.ts";
import type { RefreshOptions, ViewTarget } from "../view/replica-views.ts";
import type { Txid } from "../ltx/txid.ts";
import type { BlockingView } from "./direct-source.ts";
import type { ReplicaPages } from "./replica-pages.ts";

export interface HydratedPagesOptions {
  readonly pages: ReplicaPages<BlockingView>;
  readonly fileOf: (number: number) => FileIdentity;
  readonly codec: Codec;
  readonly logger: Logger;
  /** A copy cannot be read any more, or is damaged. */
  readonly onBroken: (copy: PageCopy) => void;
}

export class HydratedPages implements ReplicaPages<BlockingView> {
  readonly cache: FrameCache;
  readonly #options: HydratedPagesOptions;
  #blocks: CopyBlocks | undefined;

  constructor(options: HydratedPagesOptions) {
    this.#options = options;
    this.cache = options.pages.cache;
  }

  get txid(): Txid {
    return this.#options.pages.txid;
  }

  get generation(): number {
    return this.#options.pages.generation;
  }

  get copy(): PageCopy | undefined {
    return this.#blocks?.copy;
  }

  /** From now on pages come from that copy. */
  set copy(copy: PageCopy | undefined) {
    this.#blocks = copy && new CopyBlocks(copy, this.#options.codec);
  }

  newest(): BlockingView {
    return this.#beside(this.#options.pages.newest());
  }

  async at(moment: ViewTarget, waiting: Waiting): Promise<BlockingView> {
    return this.#beside(await this.#options.pages.at(moment, waiting));
  }

  refresh(options: RefreshOptions): Promise<boolean> {
    return this.#options.pages.refresh(options);
  }

  #beside(view: BlockingView): BlockingView {
    return {
      get map() {
        return view.map;
      },
      fetch: async (pgno, waiting) => {
        const { map } = view;
        const blocks = this.#holderOf(map, pgno);
        if (blocks !== undefined) {
          try {
            await blocks.load(pgno, this.#taker(blocks, map));
            return map;
          } catch (error) {
            this.#drop(blocks, error);
          }
        }
        return view.fetch(pgno, waiting);
      },
      fetchNow: (pgno) => {
        const { map } = view;
        const blocks = this.#holderOf(map, pgno);
        if (blocks !== undefined) {
          try {
            blocks.loadNow(pgno, this.#taker(blocks, map));
            return map;
          } catch (error) {
            this.#drop(blocks, error);
          }
        }
        return view.fetchNow(pgno);
      },
      touch: (pgno) => view.touch(pgno),
      [Symbol.dispose]: () => view[Symbol.dispose](),
    };
  }

  /** The copy's blocks, if it holds the page. */
  #holderOf(map: PageMap, pgno: number): CopyBlocks | undefined {
    const blocks = this.#blocks;
    const frame = map.locate(pgno);
    if (blocks === undefined || frame === undefined || this.cache.has(frame)) return undefined;
    return blocks.copy.index.holds(pgno, frame, this.#options.fileOf) ? blocks : undefined;
  }

  #taker(blocks: CopyBlocks, map: PageMap): (pgno: number, page: Uint8Array) => void {
    return (pgno, page) => {
      const frame = map.locate(pgno);
      if (frame === undefined) return;
      if (blocks.copy.index.holds(pgno, frame, this.#options.fileOf)) this.cache.put(frame, page);
    };
  }

  #drop(blocks: CopyBlocks, error: unknown): void {
    const { logger, onBroken } = this.#options;
    if (this.#blocks !== blocks) return;
    this.#blocks = undefined;
    logger.log("warn", "replica.copy-broken", { error: messageOf(error) });
    onBroken(blocks.copy);
  }
}
