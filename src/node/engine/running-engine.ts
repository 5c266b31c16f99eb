// Puts one engine together from the real file system, clock and store, runs it, and takes it down in order.
// Runs in the process that calls it; `replicate` runs it in a process of its own.
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { HeadwaterError } from "../../core/base/errors.ts";
import type { Clock } from "../../core/base/clock.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Logger } from "../../core/base/log.ts";
import { openCodec } from "../../core/codec/codec.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { Txid } from "../../core/ltx/txid.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { createLoggedStore } from "../../core/store/logged-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore, urlWithoutSecrets } from "../store/open-store.ts";
import { meteredStores, openBudget } from "./budget-keeper.ts";
import { DatabaseEngine } from "./database-engine.ts";
import type { ReplicaOptions, ResolvedOptions } from "./engine-options.ts";
import type { RestRequest } from "./rest-taker.ts";
import type { EngineStatus } from "./engine-status.ts";
import { costFields, expectedCost } from "./expected-cost.ts";
import { enforceRetention } from "./enforce-retention.ts";
import { History } from "./history.ts";
import { openLease } from "./lease-keeper.ts";
import type { LeaseKeeperOptions } from "./lease-keeper.ts";
import { litestreamStateOf } from "./litestream-beside.ts";
import type { EndedRest, EngineParts, LevelSchedule } from "./parts.ts";
import { ReplicaLink } from "./replica-link.ts";
import type { ReplicaLinkOptions } from "./replica-link.ts";
import { ReplicaRecordFile } from "./replica-record.ts";
import type { RestRecord } from "./rest-record.ts";
import { Staging } from "./staging.ts";
import {
  openStateDirectory,
  ownershipOf,
  realPathOf,
  stateDirectoryOf,
} from "./state-directory.ts";
import type { Waiting } from "./waiting.ts";

/** Its working memory serves all engines of the process in turn; each would keep more than half a megabyte of its own. */
let sharedCodec: Codec | undefined;

/** A last sync at shutdown is given up after this long. */
export const shutdownSyncMs = 30_000;

export interface EngineEnvironment {
  readonly logger: Logger;
  /** One pass: sync, upload, end. */
  readonly once?: boolean | undefined;
  /** What the engine is started out of. */
  readonly endedRest?: EndedRest | undefined;
  /** Tests put a faster one in its place. */
  readonly clock?: Clock | undefined;
  /** Tests put a failing one in front. */
  readonly fileSystem?: FileSystem | undefined;
  /** Tests put a failing one in front. */
  readonly wrapStore?: ((store: ObjectStore) => ObjectStore) | undefined;
}

/** An engine at work. */
export class RunningEngine {
  readonly #engine: DatabaseEngine;
  readonly #dispose: () => Promise<void>;
  readonly #enforceRetention: (waiting: Waiting) => Promise<void>;
  readonly #abort: AbortController;
  readonly #run: Promise<void>;
  #stopping: Promise<void> | undefined;
  #resting: Promise<unknown> | undefined;
  /** Replication ended by itself, before anybody stopped it. */
  #hasFailed = false;

  constructor(
    engine: DatabaseEngine,
    abort: AbortController,
    ways: {
      readonly dispose: () => Promise<void>;
      readonly enforceRetention: (waiting: Waiting) => Promise<void>;
    },
  ) {
    this.#engine = engine;
    this.#abort = abort;
    this.#dispose = ways.dispose;
    this.#enforceRetention = ways.enforceRetention;
    this.#run = engine.run({ signal: abort.signal });
    this.#run.catch(() => {
      this.#hasFailed = !abort.signal.aborted;
    });
  }

  /** Rejects when replication has ended by itself; resolves after `stop`. */
  async ended(): Promise<void> {
    try {
      await this.#run;
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    }
  }

  /** True from the moment it is told to stop, or puts itself to rest. */
  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  sync(waiting: { readonly signal?: AbortSignal } = {}): Promise<Txid> {
    return this.#engine.sync(waiting);
  }

  /** Everything committed before the call is captured and on local disk. */
  stage(waiting: { readonly signal: AbortSignal }): Promise<Txid> {
    return this.#engine.stage(waiting);
  }

  status(): EngineStatus {
    return this.#engine.status();
  }

  /** Puts a full image at the newest TXID. */
  async snapshot({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#engine.snapshot({ signal });
  }

  /** Applies retention once, to what is in the replica now. For `once`: otherwise the levels do it. */
  enforceRetention(waiting: Waiting): Promise<void> {
    return this.#enforceRetention(waiting);
  }

  /**
   * Ends the loops, captures and uploads what is left, detaches. Throws if the last upload failed or the signal
   * gave it up: staged files stay and go up at the next start.
   */
  stop({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    this.#stopping ??= this.#stop({ signal });
    return this.#stopping;
  }

  /**
   * Stops if nothing has happened for `quietMs` and nothing is left to do. Returns what the next start may rely on;
   * `undefined` if it was not so, and replication goes on. What is committed from then on changes the files.
   */
  async hibernate(request: RestRequest): Promise<RestRecord | undefined> {
    if (this.#stopping !== undefined || this.#resting !== undefined) return undefined;
    const resting = this.#engine.rest(request);
    this.#resting = resting.catch(() => undefined);
    try {
      const record = await resting;
      // Nothing is waited for that could last: whatever has happened since is the next engine's.
      if (record !== undefined) await (this.#stopping ??= this.#end(async () => undefined));
      return record;
    } finally {
      this.#resting = undefined;
    }
  }

  /** Stops if there is no database any more and the replica has everything of it; `false` if it is not so. */
  async endIfGone(): Promise<boolean> {
    const { state, txid, replicatedThrough } = this.#engine.status();
    if (state !== "waiting" || replicatedThrough < (txid ?? 0n)) return false;
    if (this.#stopping !== undefined || this.#resting !== undefined) return false;
    await (this.#stopping = this.#end(async () => undefined));
    return true;
  }

  #stop({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    return this.#end(async () => {
      await this.#resting;
      if (!this.#hasFailed) await this.#engine.finish({ signal });
    });
  }

  async #end(finish: () => Promise<void>): Promise<void> {
    this.#abort.abort(new HeadwaterError("engine/stopped", "The replication was stopped."));
    await this.#run.catch(() => undefined);
    try {
      await finish();
    } finally {
      await this.#engine.close();
      await this.#dispose();
    }
  }
}

/**
 * Opens state, store and database, and starts replicating. Resolves when the database and the replica are one
 * history; waits for a database that is not there yet. Throws what waiting cannot mend.
 */
export async function startEngine(
  options: ResolvedOptions,
  environment: EngineEnvironment,
  { signal }: { readonly signal: AbortSignal },
): Promise<RunningEngine> {
  refuseDirectory(options.path);
  const stack = new AsyncDisposableStack();
  try {
    const { links, ...parts } = await openParts(options, environment, stack, { signal });
    const engine = new DatabaseEngine(parts, links);
    const failed = stack.move();
    try {
      await engine.open({ signal });
    } catch (error) {
      await engine.close();
      await failed.disposeAsync();
      throw error;
    }
    return new RunningEngine(engine, new AbortController(), {
      dispose: () => failed.disposeAsync(),
      enforceRetention: async (waiting) => {
        for (const link of links)
          await enforceRetention(scheduleOf(options), { ...parts, link, ...waiting });
      },
    });
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function refuseDirectory(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  throw new HeadwaterError(
    "capture/not-a-database",
    `${path} is a directory. Give the path of a SQLite database.`,
    {
      data: { path },
    },
  );
}

interface OpenedReplica {
  readonly url: string;
  readonly store: ObjectStore;
  readonly logger: Logger;
}

/** Tells whose event it is. */
function namingReplica(logger: Logger, url: string): Logger {
  const replica = urlWithoutSecrets(url);
  return { log: (level, event, fields) => logger.log(level, event, { replica, ...fields }) };
}

async function openParts(
  options: ResolvedOptions,
  environment: EngineEnvironment,
  stack: AsyncDisposableStack,
  { signal }: { readonly signal: AbortSignal },
): Promise<EngineParts & { readonly links: readonly ReplicaLink[] }> {
  const {
    logger,
    once = false,
    endedRest,
    clock = systemClock,
    fileSystem = nodeFileSystem,
    wrapStore = (store) => store,
  } = environment;
  const random = systemRandom;
  const path = realPathOf(options.path);
  const ownership = ownershipOf(path);
  const storeOptions = { clock, random, fileSystem, ownership: ownership.file, signal };
  const openReplica = async ({ url, secrets }: ReplicaOptions): Promise<OpenedReplica> => {
    const named = options.replicas.length > 1 ? namingReplica(logger, url) : logger;
    const place = { ...storeOptions, logger: named, environment: process.env, secrets };
    const opened = wrapStore(await openStore(url, place));
    const store = stack.use(createLoggedStore(opened, { clock, logger: named }));
    return { url, store, logger: named };
  };
  const stores: OpenedReplica[] = [];
  for (const replica of options.replicas) stores.push(await openReplica(replica));
  const stateDirectory = options.stateDir ?? stateDirectoryOf(path);
  const state = stack.use(
    await openStateDirectory({ path: stateDirectory, fileSystem, random, ownership }),
  );
  const staging = await Staging.open(fileSystem, state.path, ownership);
  const codec = (sharedCodec ??= openCodec());
  const tools = { codec, fileSystem, clock, random, logger };
  const history = new History({ codec, staging, nodeId: state.nodeId, clock, logger });
  const links: ReplicaLink[] = [];
  for (const { url: address, store, logger: named } of stores) {
    const url = urlWithoutSecrets(address);
    const layout = layoutForUrl(address);
    const { nodeId } = state;
    const where = { layout, stateDirectory, ownership, url, nodeId };
    const place = { ...tools, ...where, once, endedRest, logger: named };
    const records = await ReplicaRecordFile.open(place);
    if (records.record === undefined) await records.clear();
    const link = await openLink({ options, address }, store, { ...place, records });
    stack.use(link.lease);
    links.push(link);
  }
  const { syncIntervalMs, maxWalSizeBytes, maxStagingBytes, takeOver } = options;
  const limits = { syncIntervalMs, maxWalSizeBytes, maxStagingBytes };
  const schedule = once ? undefined : scheduleOf(options);
  const { verifyIntervalMs, verifyRestoreIntervalMs } = options;
  const verification = once ? undefined : { verifyIntervalMs, verifyRestoreIntervalMs };
  const litestreamDirectory = join(options.metaPath ?? litestreamStateOf(path), "ltx");
  return {
    path,
    litestreamDirectory,
    state,
    staging,
    history,
    links,
    ...tools,
    limits,
    schedule,
    verification,
    takeOver,
    once,
    endedRest,
  };
}

type LinkTools = Omit<
  LeaseKeeperOptions & ReplicaLinkOptions,
  "store" | "upkeepStore" | "budget" | "lease" | "ttlMs" | "takeOver"
> & { readonly endedRest: EndedRest | undefined };

/** The replica with what guards it: a budget, and a lease that whoever opens it gives up. */
async function openLink(
  { options, address }: { readonly options: ResolvedOptions; readonly address: string },
  store: ObjectStore,
  tools: LinkTools,
): Promise<ReplicaLink> {
  const cost = expectedCost(options, address, process.env);
  tools.logger.log(tools.endedRest === undefined ? "info" : "debug", "budget.expected", {
    replica: store.url,
    intervalMs: Math.round(cost.intervalMs),
    ...costFields(cost),
  });
  const budget = await openBudget(cost, tools);
  const stores = meteredStores(store, budget);
  const { leaseTtlMs: ttlMs, takeOver } = options;
  const lease = openLease({ ...tools, store: stores.store, ttlMs, takeOver });
  return new ReplicaLink({ ...tools, ...stores, budget, lease });
}

function scheduleOf(options: ResolvedOptions): LevelSchedule {
  const { levels, snapshotIntervalMs, snapshotRetentionMs, l0RetentionMs } = options;
  const { retentionEnabled, retentionGraceMs: graceMs } = options;
  const retention = { snapshotRetentionMs, l0RetentionMs, graceMs };
  const { validationIntervalMs, pageChecksums } = options;
  const schedule = { levels, snapshotIntervalMs, retention, retentionEnabled };
  return { ...schedule, validationIntervalMs, pageChecksums };
}
