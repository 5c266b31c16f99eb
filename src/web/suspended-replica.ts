// A replica that is read in the page's own thread: no worker, no isolation. SQLite is suspended while it waits for pages, and
// gives the page its turn while it calculates.
import type { Waiting } from "../core/base/async.ts";
import type { Logger } from "../core/base/log.ts";
import { type ReplicaEngine, openSuspendingEngine } from "../core/vfs/replica-engine.ts";
import { type OpenMoment, nameOfReplica, openTarget } from "../core/vfs/replica-moment.ts";
import { type LoadWaSqlite, loadWaSqlite } from "../core/vfs/wa-sqlite-module.ts";
import { browserClock } from "./clock.ts";
import { giveTurn } from "./give-turn.ts";
import { openHttpReplica } from "./http-replica.ts";
import { openShelf } from "./opfs-shelf.ts";
import { pushOptions } from "./push-options.ts";

export interface SuspendedReplicaOptions extends Waiting, OpenMoment {
  readonly cacheBytes: number;
  readonly logger: Logger;
  readonly waSqlite: LoadWaSqlite;
  readonly hydrate: string | undefined;
}

/** Throws as `openReplica`. */
export async function openSuspendedReplica(
  url: string,
  { cacheBytes, logger, waSqlite, hydrate, signal, ...moment }: SuspendedReplicaOptions,
): Promise<ReplicaEngine> {
  const target = openTarget(moment, browserClock.nowMs());
  const loading = loadWaSqlite(waSqlite);
  // Awaited below; until then its failure is nobody's.
  loading.catch(() => undefined);
  const { store } = openHttpReplica(url, logger);
  return openSuspendingEngine(await loading, {
    store,
    clock: browserClock,
    logger,
    name: nameOfReplica(url),
    cacheBytes,
    target,
    follow: moment.follow ?? false,
    push: pushOptions(moment),
    shelf: await openShelf(hydrate, { url, logger }),
    signal,
    giveTurn,
  });
}
