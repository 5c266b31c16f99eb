// Reads of a replica whose pages are all in the cache, inside the thread that SQLite runs in, against `node:sqlite` on a local
// file: the same loops, the same statements, row objects on both sides. In turn, in one process. Prints the ratios as JSON.
import { DatabaseSync } from "node:sqlite";
import initSqlite from "@sqlite.org/sqlite-wasm";
import { must } from "../../src/core/base/assert.ts";
import { openCodec } from "../../src/core/codec/codec.ts";
import { litestreamLayout as layout } from "../../src/core/replica/layout.ts";
import { toSqlRow } from "../../src/core/vfs/sql-values.ts";
import { WasmConnection } from "../../src/core/vfs/sqlite-wasm-connection.ts";
import { installSqliteWasmVfs } from "../../src/core/vfs/sqlite-wasm-vfs.ts";
import { ReplicaViews } from "../../src/core/view/replica-views.ts";
import { systemEnvironment } from "../../src/node/restore/environment.ts";
import { ThreadViews } from "../../src/core/vfs/thread-views.ts";
import { type Comparison, compare } from "./compare.ts";
import { hotIds, lookupSql, rowsSql } from "./query-workload.ts";

export interface CachedReadOptions {
  readonly replica: string;
  /** The same database as a local file. */
  readonly path: string;
}

export interface CachedReadFigures {
  readonly lookups: Comparison;
  readonly scan: Comparison;
}

/** All of the database, and room for frames that share a set. */
const cacheBytes = 200e6;

const { replica, path } = JSON.parse(process.argv[2] ?? "{}") as CachedReadOptions;
await using store = await systemEnvironment().openReplica(replica, {});
const codec = openCodec();
await using views = await ReplicaViews.open(
  { store, layout, codec, cacheBytes, isShared: true },
  {},
);
using view = views.newest();
for (let pgno = 1; pgno <= view.map.commit; pgno++) await view.fetch(pgno, {});

const unasked = (): never => {
  throw new Error("a page is not in the cache");
};
const threadViews = new ThreadViews({
  name: "app",
  cache: views.cache,
  source: { read: unasked, at: unasked, touch: () => undefined },
});
threadViews.hear({ newest: 1, maps: [{ id: 1, map: view.map.share() }] });
const sqlite3 = await initSqlite();
const vfs = installSqliteWasmVfs(sqlite3, {
  name: "bench",
  open: (request) => threadViews.open(request),
});
using connection = new WasmConnection(sqlite3, {
  file: "file:app",
  vfsName: "bench",
  vfs,
  isCancelled: () => false,
});
using local = new DatabaseSync(path, { readOnly: true });

using ourLookup = must(connection.prepare(lookupSql).statement, "statement");
const { columns } = ourLookup;
const theirLookup = local.prepare(lookupSql);
const lookups = await compare(
  {
    run: () => {
      for (const id of hotIds) {
        ourLookup.bind([id]);
        if (ourLookup.step()) toSqlRow(columns, ourLookup.row());
        ourLookup.reset();
      }
    },
  },
  {
    run: () => {
      for (const id of hotIds) theirLookup.get(id);
    },
  },
);

using ourRows = must(connection.prepare(rowsSql).statement, "statement");
const theirRows = local.prepare(rowsSql);
let found = 0;
const scan = await compare(
  {
    run: () => {
      while (ourRows.step()) found += Object.keys(toSqlRow(columns, ourRows.row())).length;
      ourRows.reset();
    },
  },
  {
    run: () => {
      for (const row of theirRows.iterate()) found -= Object.keys(row).length;
    },
  },
);
if (found !== 0) throw new Error("the scans found different rows");
const figures: CachedReadFigures = { lookups, scan };
console.log(JSON.stringify(figures));
