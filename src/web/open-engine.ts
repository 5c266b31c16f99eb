// Opens a replica behind HTTP inside a worker, with SQLite where the mode says.
import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import type { Waiting } from "../core/base/async.ts";
import type { Logger } from "../core/base/log.ts";
import { openDirectEngine, openSleepingEngine } from "../core/vfs/replica-engine.ts";
import type { ReplicaEngine } from "../core/vfs/replica-engine.ts";
import type { SqliteThread } from "../core/vfs/sqlite-client.ts";
import { httpEngineOptions } from "./engine-options.ts";
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
  const { loadSqlite, startThread, logger, isCancelled, onNews, signal } = parts;
  const known = await httpEngineOptions(call.url, { ...call, logger, signal });
  const options = { ...known, onNews };
  if (call.mode === "shared") return openSleepingEngine(startThread(), options);
  return openDirectEngine(loadSqlite(), { ...options, isCancelled });
}
