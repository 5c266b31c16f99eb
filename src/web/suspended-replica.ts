// A replica that is read in the page's own thread: no worker, no isolation. SQLite is suspended while it waits for pages, and
// gives the page its turn while it calculates.
import { type ReplicaEngine, openSuspendingEngine } from "../core/vfs/replica-engine.ts";
import { type LoadWaSqlite, loadWaSqlite } from "../core/vfs/wa-sqlite-module.ts";
import { type HttpEngineOptions, httpEngineOptions } from "./engine-options.ts";
import { giveTurn } from "./give-turn.ts";

export interface SuspendedReplicaOptions extends HttpEngineOptions {
  readonly waSqlite: LoadWaSqlite;
}

/** Throws as `openReplica`. */
export async function openSuspendedReplica(
  url: string,
  { waSqlite, ...options }: SuspendedReplicaOptions,
): Promise<ReplicaEngine> {
  const known = await httpEngineOptions(url, options);
  return openSuspendingEngine(await loadWaSqlite(waSqlite), { ...known, giveTurn });
}
