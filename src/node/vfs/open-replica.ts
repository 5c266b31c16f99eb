// Opens a replica for queries: the store, its views, and SQLite in a thread over both.
import type { Waiting } from "../../core/base/async.ts";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Logger } from "../../core/base/log.ts";
import { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import { type OpenLayer, openSleepingEngine } from "../../core/vfs/replica-engine.ts";
import { type OpenMoment, nameOfReplica, openTarget } from "../../core/vfs/replica-moment.ts";
import { checkCacheBytes, defaultCacheBytes } from "../../core/vfs/replica-pages.ts";
import { type Environment, systemEnvironment } from "../restore/environment.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import { HydratedLayer } from "./hydrated-layer.ts";
import { startSqliteThread } from "./start-thread.ts";

export interface OpenReplicaOptions extends Waiting, OpenMoment {
  /**
   * Path of a local copy to make in the background. Once it is whole and proved, queries run on it, with `node:sqlite`; with
   * `follow` it is kept at the newest state, as two copies, of which the other has `-right` after its name. They stay for
   * the next time. Not with `push`.
   */
  readonly hydrate?: string | undefined;
  /** Memory for pages that were read, at least 1 MiB. */
  readonly cacheBytes?: number | undefined;
  /** What opens the replica's store; without it the environment. Never logged. */
  readonly secrets?: StoreSecrets | undefined;
  /** Gets `store.retry` whenever the store has to be asked again, and what `follow` meets. */
  readonly logger?: Logger | undefined;
}

/**
 * Opens a replica, `file:///absolute/path`, `s3://bucket/path` or `https://host/path`, for reading. Nothing is downloaded
 * but the indexes of its files; a query fetches the pages that it reads. Dispose what it resolves to. Throws `replica/*` and `ltx/*` if that state
 * cannot be had, `usage/invalid`, and what the store throws.
 */
export async function openReplica(
  url: string,
  options: OpenReplicaOptions = {},
): Promise<ReplicaDatabase> {
  return openReplicaIn(systemEnvironment(options.logger), url, options);
}

/** `openReplica` with its surroundings as an argument. */
export async function openReplicaIn(
  environment: Environment,
  url: string,
  options: OpenReplicaOptions,
): Promise<ReplicaDatabase> {
  const { signal, secrets, follow = false, cacheBytes = defaultCacheBytes } = options;
  const { push: primary, pushToken: token } = options;
  const { clock, random, logger } = environment;
  const target = openTarget(options, clock.nowMs());
  checkCacheBytes(cacheBytes);
  const { hydrate: path } = options;
  if (path !== undefined && primary !== undefined) {
    throw new HeadwaterError(
      "usage/invalid",
      "A local copy is made of what the store has, which is behind what is pushed: leave out hydrate or push.",
    );
  }
  await using opened = new AsyncDisposableStack();
  const thread = opened.use(startSqliteThread());
  const store = await environment.openReplica(url, { signal, secrets });
  // Not `use`: V8's takes no bound function as the method, and a wrapped store may have one.
  opened.defer(() => store[Symbol.asyncDispose]());
  const name = nameOfReplica(url);
  const openLayer: OpenLayer | undefined =
    path === undefined
      ? undefined
      : (views) => HydratedLayer.start({ environment, store, path, views });
  const push = primary === undefined ? undefined : { url: primary, token, fetch, random };
  const common = { store, clock, logger, name, cacheBytes, target, signal };
  const known = { ...common, follow, push, openLayer };
  const engine = opened.use(await openSleepingEngine(thread, known));
  const kept = opened.move();
  return new ReplicaDatabase({ ...engine, name, close: () => kept.disposeAsync() });
}
