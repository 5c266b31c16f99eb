// Opens a replica for queries: the store, its views, and SQLite in a thread over both.
import type { Waiting } from "../../core/base/async.ts";
import type { Logger } from "../../core/base/log.ts";
import { ReplicaDatabase } from "../../core/vfs/replica-database.ts";
import { openSleepingEngine } from "../../core/vfs/replica-engine.ts";
import { type OpenMoment, nameOfReplica, openTarget } from "../../core/vfs/replica-moment.ts";
import { checkCacheBytes, defaultCacheBytes } from "../../core/vfs/replica-pages.ts";
import { type Environment, systemEnvironment } from "../restore/environment.ts";
import type { StoreSecrets } from "../store/store-secrets.ts";
import { startSqliteThread } from "./start-thread.ts";

export interface OpenReplicaOptions extends Waiting, OpenMoment {
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
  await using opened = new AsyncDisposableStack();
  const thread = opened.use(startSqliteThread());
  const store = await environment.openReplica(url, { signal, secrets });
  // Not `use`: V8's takes no bound function as the method, and a wrapped store may have one.
  opened.defer(() => store[Symbol.asyncDispose]());
  const name = nameOfReplica(url);
  const push = primary === undefined ? undefined : { url: primary, token, fetch, random };
  const known = { store, clock, logger, name, cacheBytes, target, follow, push, signal };
  const engine = opened.use(await openSleepingEngine(thread, known));
  const kept = opened.move();
  return new ReplicaDatabase({ ...engine, name, close: () => kept.disposeAsync() });
}
