// Queries of a replica whose store takes its time for each request, in a process of its own. The engine is loaded before the
// clock starts. Prints for each query how long it took, the requests it made and how often it had to wait for a page.
import { openCodec } from "../../src/core/codec/codec.ts";
import { litestreamLayout as layout } from "../../src/core/replica/layout.ts";
import { createManifestStore } from "../../src/core/replica/manifest-store.ts";
import { createFaultyStore } from "../../src/core/testing/faulty-store.ts";
import { ReplicaViews } from "../../src/core/view/replica-views.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";
import { PageDesk } from "../../src/core/vfs/page-desk.ts";
import { ReplicaDatabase } from "../../src/core/vfs/replica-database.ts";
import type { PinnedView, ReplicaPages } from "../../src/core/vfs/replica-pages.ts";
import { SqliteClient } from "../../src/core/vfs/sqlite-client.ts";
import { preloadSqlite } from "../../src/node/vfs/preload-sqlite.ts";
import { startSqliteThread } from "../../src/node/vfs/start-thread.ts";
import { countSql, hotIds, lookupSql, scanSql, timed } from "./query-workload.ts";

export interface RemoteOptions {
  readonly replica: string;
  readonly requestMs: number;
  /** It is read by its manifest, as from a web server. */
  readonly hasManifest?: boolean;
}

/** What one query cost. */
export interface RemoteFigure {
  readonly ms: number;
  readonly requests: number;
  /** Times that SQLite's thread stood still for a page. */
  readonly waits: number;
}

export interface RemoteFigures {
  readonly first: RemoteFigure;
  /** Three, in parts of the table that nobody has read yet. */
  readonly lookups: readonly RemoteFigure[];
  readonly count: RemoteFigure;
  readonly scan: RemoteFigure;
}

const cacheBytes = 64 * 1024 * 1024;

const {
  replica,
  requestMs,
  hasManifest = false,
} = JSON.parse(process.argv[2] ?? "{}") as RemoteOptions;
const environment = systemEnvironment();
const { clock } = environment;
let requests = 0;
let waits = 0;

/** Counts the pages that SQLite's thread asks for. */
function counted(view: PinnedView): PinnedView {
  return {
    get map() {
      return view.map;
    },
    fetch: (pgno, waiting) => {
      waits++;
      return view.fetch(pgno, waiting);
    },
    touch: (pgno) => view.touch(pgno),
    [Symbol.dispose]: () => view[Symbol.dispose](),
  };
}

async function figureOf(work: () => Promise<unknown>): Promise<RemoteFigure> {
  requests = 0;
  waits = 0;
  const ms = await timed(work);
  return { ms, requests, waits };
}

// What `openReplica` does, step by step.
await using store = await environment.openReplica(replica, {});
const slow = createFaultyStore(store, {
  clock,
  plan: () => {
    requests++;
    return { kind: "delay", ms: requestMs };
  },
});
const remote = hasManifest ? createManifestStore({ ...slow, url: "https://slow" }) : slow;
await preloadSqlite();
const thread = startSqliteThread();
const openedMs = performance.now();
const codec = openCodec();
await using views = await ReplicaViews.open(
  { store: remote, layout, codec, cacheBytes, isShared: true },
  {},
);
const pages: ReplicaPages = {
  cache: views.cache,
  txid: views.txid,
  generation: views.generation,
  newest: () => counted(views.newest()),
  at: async (moment, waiting) => counted(await views.at(moment, waiting)),
  refresh: () => Promise.resolve(false),
};
const desk = new PageDesk(pages, () => {
  throw new Error("no statement here names a moment");
});
await using client = new SqliteClient(thread, desk, { name: "app" });
const db = new ReplicaDatabase({
  name: "app",
  current: () => desk.current,
  ask: (request, waiting) => client.ask(request, waiting),
  refresh: (waiting) => pages.refresh(waiting),
  close: () => Promise.resolve(),
});
const all = (sql: string, parameters: readonly number[] = []): Promise<unknown> =>
  Array.fromAsync(db.query(sql, parameters));
await all(lookupSql, [hotIds[0] ?? 1]);
const first = { ms: performance.now() - openedMs, requests, waits };
using prefetched = views.newest();
// In the background; the others wait for its end, as one that has been open for a moment does not.
await prefetched.prefetch({});
const lookups: RemoteFigure[] = [];
for (const id of [60_000, 120_000, 180_000]) {
  lookups.push(await figureOf(() => all(lookupSql, [id])));
}
const count = await figureOf(() => all(countSql));
const scan = await figureOf(() => all(scanSql));
const figures: RemoteFigures = { first, lookups, count, scan };
console.log(JSON.stringify(figures));
