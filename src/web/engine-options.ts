// What an engine needs in a browser, whatever thread its SQLite runs in.
import type { Waiting } from "../core/base/async.ts";
import type { Logger } from "../core/base/log.ts";
import type { BlockingReads } from "../core/store/blocking-reads.ts";
import type { EngineOptions, PushOptions } from "../core/vfs/replica-engine.ts";
import { type OpenMoment, nameOfReplica, openTarget } from "../core/vfs/replica-moment.ts";
import { browserClock, browserRandom } from "./clock.ts";
import { openHttpReplica } from "./http-replica.ts";
import { openShelf } from "./opfs-shelf.ts";

export interface HttpEngineOptions extends Waiting, OpenMoment {
  readonly cacheBytes: number;
  readonly logger: Logger;
  /** Where to keep a local copy (`opfs-shelf.ts`). */
  readonly hydrate: string | undefined;
}

/** For a replica behind HTTP. `reads` are of the same store. Throws `usage/invalid` for a moment that is none. */
export async function httpEngineOptions(
  url: string,
  { cacheBytes, logger, hydrate, signal, ...moment }: HttpEngineOptions,
): Promise<EngineOptions & { readonly reads: BlockingReads }> {
  const target = openTarget(moment, browserClock.nowMs());
  const { store, reads } = openHttpReplica(url, logger);
  return {
    store,
    reads,
    clock: browserClock,
    logger,
    name: nameOfReplica(url),
    cacheBytes,
    target,
    follow: moment.follow ?? false,
    push: pushOptions(moment),
    shelf: await openShelf(hydrate, { url, logger }),
    signal,
  };
}

/** `undefined`: there is no primary to follow. */
function pushOptions({
  push: url,
  pushToken: token,
}: Pick<OpenMoment, "push" | "pushToken">): PushOptions | undefined {
  if (url === undefined) return undefined;
  // Called as a method of anything but the global object it throws.
  return {
    url,
    token,
    random: browserRandom,
    fetch: (address, options) => fetch(address, options),
  };
}
