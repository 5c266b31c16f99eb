// What a worker of ours does, told by its first message: it opens a replica and serves it to the page, or it is the thread in which
// SQLite sleeps.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import { HeadwaterError, messageOf } from "../core/base/errors.ts";
import type { ThreadMessage } from "../core/vfs/protocol.ts";
import { SleepingThread } from "../core/vfs/sleeping-thread.ts";
import { ReplicaServer } from "./replica-server.ts";
import { startSqliteWorker } from "./sqlite-worker.ts";
import type { WorkerRequest, WorkerRole } from "./worker-messages.ts";

/** Loads SQLite; `url`: of its module, if the worker was not bundled with it. */
export type LoadSqlite = (url: string | undefined) => Promise<Sqlite3Static>;

/** Serves from now on, for as long as the worker lives. */
export function serveWorker(load: LoadSqlite): void {
  const loadSqlite: LoadSqlite = (url) => load(url).catch(notLoaded);
  const start = ({ data: { role, sqliteUrl } }: MessageEvent<WorkerRole>): void => {
    if (role === "replica") serveReplica(loadSqlite, sqliteUrl);
    else serveSqlite(loadSqlite(sqliteUrl));
  };
  globalThis.addEventListener("message", start, { once: true });
}

function serveReplica(loadSqlite: LoadSqlite, sqliteUrl: string | undefined): void {
  const server = new ReplicaServer({
    loadSqlite: () => loadSqlite(sqliteUrl),
    startThread: () => startSqliteWorker(sqliteUrl),
    post: (reply) => globalThis.postMessage(reply),
  });
  globalThis.addEventListener("message", ({ data }: MessageEvent<WorkerRequest>) =>
    server.hear(data),
  );
}

/** Messages that come before SQLite is there wait their turn. What loading fails with becomes an error of the worker. */
function serveSqlite(loading: Promise<Sqlite3Static>): void {
  const starting = loading.then(
    (sqlite3) => new SleepingThread(sqlite3, (message) => globalThis.postMessage(message)),
  );
  starting.catch(reportError);
  globalThis.addEventListener("message", ({ data }: MessageEvent<ThreadMessage>) => {
    void starting.then(
      (thread) => thread.hear(data),
      () => undefined,
    );
  });
}

function notLoaded(cause: unknown): never {
  throw new HeadwaterError(
    "query/closed",
    `SQLite could not be loaded (${messageOf(cause)}). Serve the files of @sqlite.org/sqlite-wasm as docs/guides/browser.md says, ` +
      "and allow WebAssembly ('wasm-unsafe-eval') if there is a content security policy.",
    { cause },
  );
}
