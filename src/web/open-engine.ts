// Opens a replica behind HTTP inside a worker, with SQLite where the mode says.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import type { Waiting } from "../core/base/async.ts";
import type { Logger } from "../core/base/log.ts";
import { openDirectEngine, openSleepingEngine } from "../core/vfs/replica-engine.ts";
import type { EngineOptions, ReplicaEngine } from "../core/vfs/replica-engine.ts";
import { nameOfReplica, openTarget } from "../core/vfs/replica-moment.ts";
import type { SqliteThread } from "../core/vfs/sqlite-client.ts";
import { browserClock } from "./clock.ts";
import { openHttpReplica } from "./http-replica.ts";
import { openShelf } from "./opfs-shelf.ts";
import { pushOptions } from "./push-options.ts";
import type { OpenCall } from "./worker-messages.ts";

export interface EngineParts extends Waiting {
  /** SQLite in this worker. */
  readonly loadSqlite: () => Promise<Sqlite3Static>;
  /** SQLite in another. */
  readonly startThread: () => SqliteThread;
  readonly logger: Logger;
  /** Asked where there is no thread that could be told. */
  readonly isCancelled: () => boolean;
  readonly onNews: () => void;
}

/** Throws as `openReplica`. */
export async function openEngine(call: OpenCall, parts: EngineParts): Promise<ReplicaEngine> {
  const { url, mode, cacheBytes, hydrate, follow = false } = call;
  const { loadSqlite, startThread, logger, isCancelled, onNews, signal } = parts;
  const target = openTarget(call, browserClock.nowMs());
  const { store, reads } = openHttpReplica(url, logger);
  const options: EngineOptions = {
    store,
    clock: browserClock,
    logger,
    name: nameOfReplica(url),
    cacheBytes,
    target,
    follow,
    push: pushOptions(call),
    shelf: await openShelf(hydrate, { url, logger }),
    onNews,
    signal,
  };
  if (mode === "shared") return openSleepingEngine(startThread(), options);
  return openDirectEngine(loadSqlite(), { ...options, reads, isCancelled });
}
