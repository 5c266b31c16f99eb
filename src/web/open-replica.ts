// Opens a replica for queries in a browser: a worker reads it over HTTP and has SQLite, or has it sleep in another one.
import type { Waiting } from "../core/base/async.ts";
import { HeadwaterError } from "../core/base/errors.ts";
import { type Logger, silentLogger } from "../core/base/log.ts";
import { ReplicaDatabase } from "../core/vfs/replica-database.ts";
import { type OpenMoment, nameOfReplica } from "../core/vfs/replica-moment.ts";
import { checkCacheBytes, defaultCacheBytes } from "../core/vfs/replica-pages.ts";
import type { LoadWaSqlite } from "../core/vfs/wa-sqlite-module.ts";
import { ReplicaClient } from "./replica-client.ts";
import { startReplicaWorker } from "./start-worker.ts";
import { openSuspendedReplica } from "./suspended-replica.ts";
import type { WorkerMode } from "./worker-messages.ts";

/**
 * How SQLite waits for pages. `shared`: asleep in a thread of its own while another reads ahead; needs a page that is
 * cross-origin isolated. `worker`: in one worker, which stands still for each request. `auto`: `shared` where it can be.
 * `jspi`: suspended, in the page's own thread, without a worker; needs `waSqlite` and a browser with JSPI.
 */
export type ReplicaMode = "auto" | "jspi" | WorkerMode;

export interface OpenReplicaOptions extends Waiting, OpenMoment {
  readonly mode?: ReplicaMode | undefined;
  /** For the mode `jspi`: the default export of `@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs`, which the page has to bring. */
  readonly waSqlite?: LoadWaSqlite | undefined;
  /**
   * Downloads the whole state into the browser's private files (OPFS) while queries go on, and reads from there what has not
   * changed since: also after a reload, and in other tabs. `"opfs"`: a copy for each URL; any other text is the copy's name,
   * for a replica whose URL changes. The logger hears `replica.hydrating` and `replica.hydrated`.
   */
  readonly hydrate?: string | undefined;
  /** Memory for pages that were read, at least 1 MiB. */
  readonly cacheBytes?: number | undefined;
  /** Gets `store.retry` whenever the server has to be asked again, and what `follow` and `hydrate` meet. */
  readonly logger?: Logger | undefined;
}

/**
 * Opens a replica that a web server or a bucket offers with its `manifest.json`, by the URL of its folder, for reading. Nothing
 * is downloaded but the indexes of its files; a query fetches the pages that it reads. Dispose what it resolves to. Throws
 * `replica/*` and `ltx/*` if that state cannot be had, `usage/invalid`, and what the store throws.
 */
export async function openReplica(
  url: string | URL,
  options: OpenReplicaOptions = {},
): Promise<ReplicaDatabase> {
  const { at, txid, follow, push, pushToken, hydrate, cacheBytes = defaultCacheBytes } = options;
  const { logger = silentLogger, signal } = options;
  checkCacheBytes(cacheBytes);
  const address = new URL(url, globalThis.location.href).href;
  const moment = { at, txid, follow, push, pushToken };
  if (options.mode === "jspi") {
    const waSqlite = waSqliteOf(options);
    const more = { ...moment, hydrate, cacheBytes, logger, waSqlite, signal };
    const engine = await openSuspendedReplica(address, more);
    return new ReplicaDatabase({
      name: nameOfReplica(address),
      current: engine.current,
      ask: engine.ask,
      refresh: engine.refresh,
      close: async () => engine[Symbol.asyncDispose](),
    });
  }
  const mode = modeOf(options.mode ?? "auto");
  using opening = new DisposableStack();
  const client = opening.use(
    new ReplicaClient(startReplicaWorker(), { logger, standsStill: mode === "worker" }),
  );
  const call = { kind: "open", url: address, mode, ...moment, cacheBytes, hydrate } as const;
  await client.open(call, { signal });
  opening.move();
  return new ReplicaDatabase({
    name: nameOfReplica(address),
    current: () => client.state,
    ask: (request, waiting) => client.ask(request, waiting),
    refresh: (waiting) => client.refresh(waiting),
    close: async () => client[Symbol.dispose](),
  });
}

function waSqliteOf({ waSqlite }: OpenReplicaOptions): LoadWaSqlite {
  if (waSqlite !== undefined) return waSqlite;
  throw new HeadwaterError(
    "usage/invalid",
    "The mode jspi needs wa-sqlite: npm install @journeyapps/wa-sqlite@2.0.6, and give the default export of " +
      "@journeyapps/wa-sqlite/dist/wa-sqlite-jspi.mjs as waSqlite.",
  );
}

function modeOf(mode: "auto" | WorkerMode): WorkerMode {
  if (mode === "auto") return globalThis.crossOriginIsolated ? "shared" : "worker";
  if (mode === "shared" && !globalThis.crossOriginIsolated) {
    throw new HeadwaterError(
      "usage/invalid",
      "The mode shared needs a page that is cross-origin isolated: have the server send Cross-Origin-Opener-Policy: " +
        "same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave the mode out.",
    );
  }
  return mode;
}
