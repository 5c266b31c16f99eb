// An open replica from end to end: the views of its store, SQLite over them, and what keeps them new. Between a store and a
// `ReplicaDatabase`; the thread that SQLite sleeps in is the platform's.
import type { Waiting } from "../base/async.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { openCodec } from "../codec/codec.ts";
import type { PushClientOptions } from "../push/push-client.ts";
import { PushedFiles } from "../push/pushed-files.ts";
import { layoutForUrl } from "../replica/layout.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { PageMap } from "../view/page-map.ts";
import { ReplicaViews, type ReplicaViewsOptions, type ViewTarget } from "../view/replica-views.ts";
import { FollowLoop } from "./follow-loop.ts";
import { PageDesk } from "./page-desk.ts";
import { PushedViews } from "./pushed-views.ts";
import { refuseWrite, refusingWrites } from "./refuse-write.ts";
import type { AskSqlite } from "./replica-database.ts";
import { askedTarget } from "./replica-moment.ts";
import { frozenPages } from "./replica-pages.ts";
import { SqliteClient, type SqliteThread } from "./sqlite-client.ts";

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
  /** Where its primary pushes what is new; with `follow`. */
  readonly push?: PushOptions | undefined;
}

export type PushOptions = Pick<PushClientOptions, "url" | "token" | "fetch" | "random">;

/** Disposing it ends everything that it stands on, and may happen twice. */
export interface ReplicaEngine extends AsyncDisposable {
  /** The state that the next query sees. */
  readonly current: () => Pick<PageMap, "txid" | "timestampMs">;
  readonly ask: AskSqlite;
  /** Looks for a newer state. */
  readonly refresh: (waiting: Waiting) => Promise<unknown>;
}

/** SQLite in a thread of its own, which is the engine's from now on, and sleeps while pages are fetched here. */
export async function openSleepingEngine(
  thread: SqliteThread,
  options: EngineOptions,
): Promise<ReplicaEngine> {
  const { store, clock, logger, name, target, follow, push } = options;
  await using opened = new AsyncDisposableStack();
  opened.use(thread);
  const files = push && new PushedFiles();
  const views = opened.use(await openViews(options, { isShared: true, pushed: files }));
  const pages = target === undefined ? views : frozenPages(views);
  const desk = new PageDesk(pages, (asked) => askedTarget(asked, clock.nowMs()));
  const client = opened.use(new SqliteClient(thread, desk, { name }));
  if (follow) {
    const loop = opened.use(new FollowLoop({ pages, clock, logger }));
    const common = { views, loop, codec: openCodec(), clock, logger };
    if (push && files) opened.use(new PushedViews({ ...common, ...push, files }));
  }
  const kept = opened.move();
  return {
    current: () => desk.current,
    ask: refusingWrites(
      (request, waiting) => client.ask(request, waiting),
      (waiting) => refuseWrite(store, waiting),
    ),
    refresh: (waiting) => pages.refresh(waiting),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function openViews(
  { store: stored, logger, cacheBytes, target, signal }: EngineOptions,
  memory: Pick<ReplicaViewsOptions, "isShared"> & { readonly pushed: PushedFiles | undefined },
): Promise<ReplicaViews> {
  const store = memory.pushed?.over(stored) ?? stored;
  const layout = layoutForUrl(store.url);
  return ReplicaViews.open(
    { store, layout, codec: openCodec(), cacheBytes, logger, ...memory },
    { signal, ...(target !== undefined && { target }) },
  );
}
