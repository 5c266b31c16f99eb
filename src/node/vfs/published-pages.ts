// The views of a replica with a local copy: the newest state that statements see goes forward only when it is said to, so that
// both SQLites see the same one.
import { Mutex, type Waiting } from "../../core/base/async.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { toTxid } from "../../core/ltx/txid.ts";
import type { FrameCache } from "../../core/view/frame-cache.ts";
import type { RefreshOptions, ViewTarget } from "../../core/view/replica-views.ts";
import type { PinnedView, ReplicaPages } from "../../core/vfs/replica-pages.ts";

export interface PublishedPagesOptions {
  /** Fills `into` with a page of a TXID, if there is a copy of it that can be read. */
  readonly readLocal: (txid: bigint, pgno: number, into: Uint8Array) => Promise<boolean>;
  /** Brings the copy where the views are, or finds that it cannot be had now. */
  readonly catchUp: (waiting: Waiting) => Promise<void>;
}

export class PublishedPages implements ReplicaPages, Disposable {
  readonly #views: ReplicaPages;
  readonly #options: PublishedPagesOptions;
  readonly #refreshing = new Mutex();
  #published: SharedView;

  constructor(views: ReplicaPages, options: PublishedPagesOptions) {
    this.#views = views;
    this.#options = options;
    this.#published = this.#share(views.newest());
  }

  get cache(): FrameCache {
    return this.#views.cache;
  }

  get txid(): Txid {
    return toTxid(this.#published.view.map.txid);
  }

  get generation(): number {
    return this.#published.view.map.generation;
  }

  /** Whether the views have a newer state. */
  get isBehind(): boolean {
    return this.#views.txid !== this.txid;
  }

  newest(): PinnedView {
    return this.#published.pin();
  }

  at(moment: ViewTarget, waiting: Waiting): Promise<PinnedView> {
    return this.#views.at(moment, waiting);
  }

  /** Looks for a newer state, and resolves when the copy is there, too. */
  refresh(options: RefreshOptions): Promise<boolean> {
    const refresh = async (): Promise<boolean> => {
      const isNew = await this.#views.refresh(options);
      await this.#options.catchUp(options);
      return isNew;
    };
    return this.#refreshing.run(refresh, options);
  }

  /** From now on statements see the newest state of the views. */
  advance(): void {
    if (!this.isBehind) return;
    const before = this.#published;
    this.#published = this.#share(this.#views.newest());
    before.release();
  }

  [Symbol.dispose](): void {
    this.#published.release();
  }

  #share(view: PinnedView): SharedView {
    return new SharedView(view, async (pgno, waiting) => {
      const { map } = view;
      const frame = map.locate(pgno);
      // Of page 1 the copy has another header.
      if (frame !== undefined && pgno > 1) {
        const page = new Uint8Array(map.pageSize);
        if (await this.#options.readLocal(map.txid, pgno, page)) {
          this.cache.put(frame, page);
          return map;
        }
      }
      return view.fetch(pgno, waiting);
    });
  }
}

type FetchPage = PinnedView["fetch"];

/** A view that several hold: it goes with the last of them. */
class SharedView {
  readonly view: PinnedView;
  readonly #fetch: FetchPage;
  #holders = 1;

  constructor(view: PinnedView, fetch: FetchPage) {
    this.view = view;
    this.#fetch = fetch;
  }

  pin(): PinnedView {
    const { view } = this;
    this.#holders++;
    return {
      get map() {
        return view.map;
      },
      fetch: this.#fetch,
      touch: (pgno) => view.touch(pgno),
      [Symbol.dispose]: () => this.release(),
    };
  }

  release(): void {
    if (--this.#holders === 0) this.view[Symbol.dispose]();
  }
}
