// An open replica from end to end: the views of its store, SQLite over them, and what keeps them new. Between a store and a
// `ReplicaDatabase`; the thread that SQLite sleeps in is the platform's.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { type Waiting, orAborted } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { type Codec, openCodec } from "../codec/codec.ts";
import type { PushClientOptions } from "../push/push-client.ts";
import { PushedFiles } from "../push/pushed-files.ts";
import { layoutForUrl } from "../replica/layout.ts";
import type { BlockingReads } from "../store/blocking-reads.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { PageMap } from "../view/page-map.ts";
import { ReplicaViews, type ReplicaViewsOptions, type ViewTarget } from "../view/replica-views.ts";
import { DirectClient } from "./direct-client.ts";
import type { BlockingView } from "./direct-source.ts";
import { FollowLoop } from "./follow-loop.ts";
import { type CopyShelf, Hydration } from "./hydration.ts";
import { InteriorPrefetch } from "./interior-prefetch.ts";
import { PageDesk, type ParseMoment } from "./page-desk.ts";
import { PushedViews } from "./pushed-views.ts";
import { refuseWrite, refusingWrites } from "./refuse-write.ts";
import type { AskSqlite } from "./replica-database.ts";
import { askedTarget } from "./replica-moment.ts";
import { type ReplicaPages, frozenPages } from "./replica-pages.ts";
import { SqliteClient, type SqliteThread } from "./sqlite-client.ts";
import { SuspendingClient } from "./suspending-client.ts";
import type { WaSqliteModule } from "./wa-sqlite-module.ts";

export interface EngineOptions extends Waiting {
  /** Stays the caller's. */
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What SQL calls the replica. */
  readonly name: string;
  readonly cacheBytes: number;
  /** `undefined`: the newest state, which `refresh` moves on from. */
  readonly target: ViewTarget | undefined;
  /** Refreshes by itself. */
  readonly follow: boolean;
  /** Keeps a local copy there, and reads from it. */
  readonly shelf?: CopyShelf | undefined;
  /** Following has found a newer state. */
  readonly onNews?: (() => void) | undefined;
  /** Where its primary pushes what is new; with `follow`. */
  readonly push?: PushOptions | undefined;
  readonly openLayer?: OpenLayer | undefined;
}

export type PushOptions = Pick<PushClientOptions, "url" | "token" | "fetch" | "random">;

/** Something between the views of an engine and its SQLite in a thread, such as another SQLite. The engine disposes it. */
export interface EngineLayer extends AsyncDisposable {
  /** In the place of the views. */
  readonly pages: ReplicaPages;
  /** In the place of `client`, which is SQLite over the pages; `current` is the state that its next statement sees. */
  over(client: SqliteClient, current: () => PageMap): AskSqlite;
}

export type OpenLayer = (views: ReplicaPages) => Promise<EngineLayer>;

/** Disposing it ends everything that it stands on, and may happen twice. */
export interface ReplicaEngine extends AsyncDisposable {
  /** The state that the next query sees. */
  readonly current: () => Pick<PageMap, "txid" | "timestampMs">;
  readonly ask: AskSqlite;
  /** Looks for a newer state: at the primary, if it pushes and is not away, and in the store. */
  readonly refresh: Refresh;
}

type Refresh = (waiting: Waiting) => Promise<unknown>;

/** SQLite in a thread of its own, which is the engine's from now on, and sleeps while pages are fetched here. */
export async function openSleepingEngine(
  thread: SqliteThread,
  options: EngineOptions,
): Promise<ReplicaEngine> {
  const { store, clock, logger, name, shelf, openLayer } = options;
  await using opened = new AsyncDisposableStack();
  opened.use(thread);
  const known = await openPages(opened, options, { isShared: true });
  const layer = await openLayer?.(known.pages);
  if (layer !== undefined) opened.use(layer);
  const pages = layer?.pages ?? known.pages;
  const refresh = follow(opened, options, { ...known, pages });
  const desk = new PageDesk(pages, (asked) => askedTarget(asked, clock.nowMs()));
  const client = opened.use(new SqliteClient(thread, desk, { name }));
  const current = (): PageMap => desk.current;
  // A local copy brings all pages, and a replica in a directory has them at hand.
  const isAtHand = shelf !== undefined || layer !== undefined || store.url.startsWith("file:");
  const prefetch = isAtHand
    ? undefined
    : opened.use(new InteriorPrefetch({ view: known.views.newest(), logger }));
  return engineOf(opened.move(), {
    current,
    ask:
      layer?.over(client, current) ??
      ((request, waiting) => client.ask(request, waiting).finally(() => prefetch?.start())),
    refresh,
    store,
  });
}

export interface DirectEngineOptions extends EngineOptions {
  /** The same store, read while everything stands still. */
  readonly reads: BlockingReads;
  /** Whether what SQLite is doing shall end. */
  readonly isCancelled: () => boolean;
}

/** SQLite in this thread, which stands still for each page that is missing. It may still be loading. */
export async function openDirectEngine(
  loading: Promise<Sqlite3Static>,
  options: DirectEngineOptions,
): Promise<ReplicaEngine> {
  const { store, clock, name, reads, isCancelled } = options;
  // Until it is awaited its failure is nobody's.
  loading.catch(() => undefined);
  await using opened = new AsyncDisposableStack();
  const known = await openPages(opened, options, { reads });
  const { pages } = known;
  const refresh = follow(opened, options, known);
  const parseMoment: ParseMoment = (asked) => askedTarget(asked, clock.nowMs());
  const sqlite3 = await orAborted(loading, options);
  const client = opened.use(new DirectClient(sqlite3, { name, pages, parseMoment, isCancelled }));
  return engineOf(opened.move(), {
    current: () => client.current,
    ask: (request, waiting) => client.ask(request, waiting),
    refresh,
    store,
  });
}

export interface SuspendingEngineOptions extends EngineOptions {
  /** Resolves once this thread has done what else it has to do. */
  readonly giveTurn: () => Promise<void>;
}

/** SQLite in this thread, which goes on while SQLite is suspended. The module is the engine's from now on. */
export async function openSuspendingEngine(
  module: WaSqliteModule,
  options: SuspendingEngineOptions,
): Promise<ReplicaEngine> {
  const { store, clock, name, giveTurn } = options;
  await using opened = new AsyncDisposableStack();
  const known = await openPages(opened, options, {});
  const { pages } = known;
  const refresh = follow(opened, options, known);
  const parseMoment: ParseMoment = (asked) => askedTarget(asked, clock.nowMs());
  const client = opened.use(
    new SuspendingClient(module, { name, pages, parseMoment, clock, giveTurn }),
  );
  return engineOf(opened.move(), {
    current: () => client.current,
    ask: (request, waiting) => client.ask(request, waiting),
    refresh,
    store,
  });
}

function engineOf(
  opened: AsyncDisposableStack,
  {
    current,
    ask,
    refresh,
    store,
  }: Pick<ReplicaEngine, "current" | "ask" | "refresh"> & Pick<EngineOptions, "store">,
): ReplicaEngine {
  return {
    current,
    ask: refusingWrites(ask, (waiting) => refuseWrite(store, waiting)),
    refresh,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface OpenedPages<Pages extends ReplicaPages = ReplicaPages<BlockingView>> {
  readonly pages: Pages;
  /** What they stand on. */
  readonly views: ReplicaViews;
  /** If its primary pushes: what the views read beside the store. */
  readonly pushed: PushedFiles | undefined;
  readonly codec: Codec;
}

/** What is opened for them is disposed with `opened`. */
async function openPages(
  opened: AsyncDisposableStack,
  options: EngineOptions,
  memory: Pick<ReplicaViewsOptions, "isShared" | "reads">,
): Promise<OpenedPages> {
  const { clock, logger, cacheBytes, target, shelf, push, signal } = options;
  const codec = openCodec();
  const pushed = push && new PushedFiles();
  const store = pushed?.over(options.store) ?? options.store;
  const reads = memory.reads && (pushed?.overReads(memory.reads) ?? memory.reads);
  const layout = layoutForUrl(store.url);
  const views = opened.use(
    await ReplicaViews.open(
      { store, layout, codec, cacheBytes, logger, pushed, ...memory, reads },
      { signal, ...(target !== undefined && { target }) },
    ),
  );
  const pages =
    shelf === undefined
      ? views
      : opened.use(new Hydration({ views, shelf, store, codec, clock, logger })).pages;
  return { pages: target === undefined ? pages : frozenPages(pages), views, pushed, codec };
}

/** From now on the pages go on to what is new, if they are to, until `opened` is disposed. Returns what has them look now. */
function follow(
  opened: AsyncDisposableStack,
  { follow: isFollowing, push, clock, logger, onNews }: EngineOptions,
  { pages, views, pushed: files, codec }: OpenedPages<ReplicaPages>,
): Refresh {
  const refresh: Refresh = (waiting) => pages.refresh(waiting);
  if (!isFollowing) return refresh;
  const loop = opened.use(new FollowLoop({ pages, clock, logger, onNews }));
  if (push === undefined || files === undefined) return refresh;
  const pushed = opened.use(
    new PushedViews({ ...push, views, files, loop, codec, clock, logger, onNews }),
  );
  return async (waiting) => {
    await pushed.caughtUp(waiting);
    return refresh(waiting);
  };
}
