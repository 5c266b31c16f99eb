// The local copy under an open replica: who makes it, who reads it, and what the rest of the replica sees of both.
import { type Waiting, orAborted } from "../../core/base/async.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import type { EngineLayer } from "../../core/vfs/replica-engine.ts";
import type { AskSqlite } from "../../core/vfs/replica-database.ts";
import type { ReplicaPages } from "../../core/vfs/replica-pages.ts";
import { Hydrator } from "../hydrate/hydrator.ts";
import type { Environment } from "../restore/environment.ts";
import { CopyPages } from "./copy-pages.ts";
import { HydratedSqlite, type HydratedSqliteOptions } from "./hydrated-sqlite.ts";
import { NativeSqlite } from "./native-sqlite.ts";
import { PublishedPages } from "./published-pages.ts";

export interface HydratedLayerOptions {
  readonly environment: Environment;
  readonly store: ObjectStore;
  /** Of the copy. */
  readonly path: string;
  readonly views: ReplicaPages;
}

export class HydratedLayer implements EngineLayer {
  /** In the place of the views. */
  readonly pages: PublishedPages;
  readonly #native: NativeSqlite;
  readonly #hydrator: Hydrator;
  readonly #copyPages: CopyPages;
  #sqlite: HydratedSqlite | undefined;

  private constructor(
    { environment: { fileSystem }, views }: HydratedLayerOptions,
    native: NativeSqlite,
    hydrator: Hydrator,
  ) {
    this.#native = native;
    this.#hydrator = hydrator;
    this.#copyPages = new CopyPages(fileSystem);
    this.pages = new PublishedPages(views, {
      catchUp: (waiting) => this.#catchUp(waiting),
      readLocal: (txid, pgno, into) => this.#readLocal(txid, pgno, into),
    });
  }

  /** Begins to make the copy. Throws as `Hydrator.start`. */
  static async start(options: HydratedLayerOptions): Promise<HydratedLayer> {
    const { environment, store, path, views } = options;
    let layer: HydratedLayer | undefined;
    const native = new NativeSqlite(environment.clock);
    const hydrator = await Hydrator.start({
      environment,
      store,
      path,
      target: () => views.txid,
      refresh: (waiting) => views.refresh(waiting),
      readers: native,
      onChange: () => layer?.settle(),
    });
    native.start();
    layer = new HydratedLayer(options, native, hydrator);
    return layer;
  }

  /** Runs statements on the copy, or on `wasm`, which is SQLite over the pages. */
  over(wasm: HydratedSqliteOptions["wasm"], current: HydratedSqliteOptions["current"]): AskSqlite {
    const { pages } = this;
    const [native, copies] = [this.#native, this.#hydrator];
    const sqlite = new HydratedSqlite({ wasm, native, pages, current, copies });
    this.#sqlite = sqlite;
    return (request, waiting) => sqlite.ask(request, waiting);
  }

  /** There is another copy, or none to be waited for. */
  settle(): void {
    void this.#sqlite?.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#native[Symbol.asyncDispose]();
    await this.#hydrator[Symbol.asyncDispose]();
    await this.#copyPages[Symbol.asyncDispose]();
    this.pages[Symbol.dispose]();
  }

  /** While a statement runs, the copy that is open stays open. */
  async #readLocal(txid: bigint, pgno: number, into: Uint8Array): Promise<boolean> {
    const { copy } = this.#native;
    return copy?.txid === txid && (await this.#copyPages.read(copy, pgno, into));
  }

  /** Until there is a copy, nobody waits for it. */
  async #catchUp(waiting: Waiting): Promise<void> {
    this.#hydrator.wake();
    if (this.#hydrator.newest !== undefined) await orAborted(this.#hydrator.rested(), waiting);
    await this.#sqlite?.settle();
  }
}
