// The views of a replica that SQLite reads from, by the numbers that it knows them by: what it has been told of them, and which
// it still uses.
import { must } from "../base/assert.ts";
import type { PageMap } from "../view/page-map.ts";
import type { NumberedView, ViewNews, ViewsInUse } from "./protocol.ts";
import type { PinnedView, ReplicaPages } from "./replica-pages.ts";

interface LentView<Pinned> {
  readonly view: Pinned;
  /** The map that SQLite has; `undefined`: none, so that it does not know the view, or only its number. */
  told: PageMap | undefined;
}

export class LentViews<Pinned extends PinnedView = PinnedView> implements Disposable {
  readonly #pages: ReplicaPages<Pinned>;
  readonly #lentById = new Map<number, LentView<Pinned>>();
  #lastId = 0;
  #snapshotId: number | undefined;
  #newestId: number;

  constructor(pages: ReplicaPages<Pinned>) {
    this.#pages = pages;
    this.#newestId = this.lend(pages.newest());
  }

  /** The state that the next query sees: the one that is held, or the newest. */
  get current(): PageMap {
    this.#catchUp();
    return this.get(this.#snapshotId ?? this.#newestId).map;
  }

  /** A view that is lent. */
  get(id: number): Pinned {
    return this.#lent(id).view;
  }

  /** A view, if it is still lent. */
  find(id: number): Pinned | undefined {
    return this.#lentById.get(id)?.view;
  }

  /** Keeps a view until SQLite does not use it any more. */
  lend(view: Pinned): number {
    const id = ++this.#lastId;
    this.#lentById.set(id, { view, told: undefined });
    return id;
  }

  /** Gives `send` what SQLite does not know of its views; from then on it knows it, unless `send` throws. */
  tell<T>(send: (news: ViewNews) => T): T {
    this.#catchUp();
    const news = [...this.#lentById].flatMap(([id, lent]) => {
      const { map } = lent.view;
      return map === lent.told ? [] : [{ id, lent, map }];
    });
    const maps = news.map(({ id, map }): NumberedView => ({ id, map: map.share() }));
    const result = send({ newest: this.#newestId, maps });
    for (const { lent, map } of news) lent.told = map;
    return result;
  }

  /** Lets go of the views that are not in use any more. */
  settle({ views, snapshot }: ViewsInUse): void {
    this.#snapshotId = snapshot;
    const isKept = new Set([...views, this.#newestId]);
    for (const id of this.#lentById.keys()) if (!isKept.has(id)) this.#takeBack(id);
  }

  [Symbol.dispose](): void {
    for (const { view } of this.#lentById.values()) view[Symbol.dispose]();
    this.#lentById.clear();
  }

  /** Lends the newest state that is known. SQLite is told of it with its next request. */
  #catchUp(): void {
    const before = this.#newestId;
    const { view, told } = this.#lent(before);
    if (view.map.generation === this.#pages.generation) return;
    this.#newestId = this.lend(this.#pages.newest());
    if (told === undefined) this.#takeBack(before);
  }

  #takeBack(id: number): void {
    const { view } = this.#lent(id);
    this.#lentById.delete(id);
    view[Symbol.dispose]();
  }

  #lent(id: number): LentView<Pinned> {
    return must(this.#lentById.get(id), `view ${id}`);
  }
}
