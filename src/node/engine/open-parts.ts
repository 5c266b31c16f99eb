// The parts of one engine, opened: state directory, staging, stores, replicas.
import { join } from "node:path";
import type { Clock } from "../../core/base/clock.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Logger } from "../../core/base/log.ts";
import { openCodec } from "../../core/codec/codec.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { createLoggedStore } from "../../core/store/logged-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore, urlWithoutSecrets } from "../store/open-store.ts";
import type { OpenStoreOptions } from "../store/open-store.ts";
import type { StoreMemory } from "../store/store-memory.ts";
import { briefWakeOf } from "./brief-wake.ts";
import { meteredStores, openBudget } from "./budget-keeper.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import { type CostOptions, costFields, expectedCost } from "./expected-cost.ts";
import { History } from "./history.ts";
import { openLease } from "./lease-keeper.ts";
import type { LeaseKeeperOptions } from "./lease-keeper.ts";
import { litestreamStateOf } from "./litestream-beside.ts";
import { ManifestBook } from "./manifest-book.ts";
import type { EndedRest, EngineParts, LevelSchedule } from "./parts.ts";
import { ReplicaLink } from "./replica-link.ts";
import type { ReplicaLinkOptions } from "./replica-link.ts";
import { ReplicaRecordFile } from "./replica-record.ts";
import type { StagedFeed } from "./staged-feed.ts";
import { Staging } from "./staging.ts";
import {
  openStateDirectory,
  ownershipOf,
  realPathOf,
  stateDirectoryOf,
} from "./state-directory.ts";

export interface EngineEnvironment {
  readonly logger: Logger;
  /** One pass: sync, upload, end. */
  readonly once?: boolean | undefined;
  /** What the engine is started out of. */
  readonly endedRest?: EndedRest | undefined;
  /** It is put to rest when it is quiet: what can wait is left for later at first. */
  readonly mayRest?: boolean | undefined;
  /** Those who follow by push. */
  readonly feed?: StagedFeed | undefined;
  /** Somebody may follow by push. */
  readonly isPushed?: boolean | undefined;
  /** What the stores of other engines have found out. */
  readonly storeMemory?: StoreMemory | undefined;
  /** Tests put a faster one in its place. */
  readonly clock?: Clock | undefined;
  /** Tests put a failing one in front. */
  readonly fileSystem?: FileSystem | undefined;
  /** Tests put a failing one in front. */
  readonly wrapStore?: ((store: ObjectStore) => ObjectStore) | undefined;
}

/** Its working memory serves all engines of the process in turn; each would keep more than half a megabyte of its own. */
let sharedCodec: Codec | undefined;

interface OpenedReplica {
  readonly url: string;
  readonly hasManifest: boolean;
  readonly store: ObjectStore;
  readonly logger: Logger;
}

/** Tells whose event it is. */
function namingReplica(logger: Logger, url: string): Logger {
  const replica = urlWithoutSecrets(url);
  return { log: (level, event, fields) => logger.log(level, event, { replica, ...fields }) };
}

async function openReplicas(
  { replicas, manifest: manifestOfAll }: ResolvedOptions,
  {
    wrapStore = (store) => store,
    storeMemory: memory,
    ...place
  }: Omit<OpenStoreOptions, "memory"> & Pick<EngineEnvironment, "storeMemory" | "wrapStore">,
  stack: AsyncDisposableStack,
): Promise<readonly OpenedReplica[]> {
  const { clock } = place;
  const all: OpenedReplica[] = [];
  for (const { url, secrets, manifest: hasManifest = manifestOfAll } of replicas) {
    const logger = replicas.length > 1 ? namingReplica(place.logger, url) : place.logger;
    const options = { ...place, logger, memory, environment: process.env, secrets };
    const opened = wrapStore(await openStore(url, options));
    const store = stack.use(createLoggedStore(opened, { clock, logger }));
    all.push({ url, hasManifest, store, logger });
  }
  return all;
}

/** Opens all of it; `stack` closes it again. */
export async function openParts(
  options: ResolvedOptions,
  environment: EngineEnvironment,
  stack: AsyncDisposableStack,
  { signal }: { readonly signal: AbortSignal },
): Promise<EngineParts & { readonly links: readonly ReplicaLink[] }> {
  const {
    logger,
    once = false,
    endedRest,
    mayRest = false,
    clock = systemClock,
    fileSystem = nodeFileSystem,
  } = environment;
  const random = systemRandom;
  const brief = briefWakeOf({ mayRest, endedRest }, clock);
  const path = realPathOf(options.path);
  const ownership = ownershipOf(path);
  const place = { clock, random, fileSystem, ownership: ownership.file, signal };
  const stores = await openReplicas(options, { ...environment, ...place }, stack);
  const stateDirectory = options.stateDir ?? stateDirectoryOf(path);
  const state = stack.use(
    await openStateDirectory({ path: stateDirectory, fileSystem, random, ownership }),
  );
  const staging = await Staging.open(fileSystem, state.path, ownership);
  const codec = (sharedCodec ??= openCodec());
  const tools = { codec, fileSystem, clock, random, logger };
  const history = new History({ codec, staging, nodeId: state.nodeId, clock, logger });
  const links: ReplicaLink[] = [];
  for (const [index, { url: address, hasManifest, store, logger: named }] of stores.entries()) {
    const url = urlWithoutSecrets(address);
    const layout = layoutForUrl(address);
    const { nodeId } = state;
    const where = { layout, stateDirectory, ownership, url, nodeId };
    const latePuts = endedRest?.putTimes.lateByReplica[index];
    const about = { ...tools, ...where, once, endedRest, brief, latePuts, logger: named };
    const records = await ReplicaRecordFile.open(about);
    if (records.record === undefined) await records.clear();
    const manifest = hasManifest ? new ManifestBook(clock) : undefined;
    const { isPushed } = environment;
    const replica = { options, address, isPushed };
    const link = await openLink(replica, store, { ...about, records, manifest });
    stack.use(link.lease);
    links.push(link);
  }
  const { syncIntervalMs, pushIntervalMs, maxWalSizeBytes, maxStagingBytes, takeOver } = options;
  const limits = { syncIntervalMs, pushIntervalMs, maxWalSizeBytes, maxStagingBytes };
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
    brief,
    feed: environment.feed,
  };
}

type LinkTools = Omit<
  LeaseKeeperOptions & ReplicaLinkOptions,
  "store" | "upkeepStore" | "budget" | "lease" | "ttlMs" | "takeOver"
> & { readonly endedRest: EndedRest | undefined };

/** The replica with what guards it: a budget, and a lease that whoever opens it gives up. */
async function openLink(
  {
    options,
    address,
    isPushed,
  }: { readonly options: ResolvedOptions; readonly address: string } & CostOptions,
  store: ObjectStore,
  tools: LinkTools,
): Promise<ReplicaLink> {
  const hasManifest = tools.manifest !== undefined;
  const cost = expectedCost({ ...options, manifest: hasManifest }, address, process.env, {
    isPushed,
  });
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

export function scheduleOf(options: ResolvedOptions): LevelSchedule {
  const { levels, snapshotIntervalMs, snapshotRetentionMs, l0RetentionMs } = options;
  const { retentionEnabled, retentionGraceMs: graceMs } = options;
  const retention = { snapshotRetentionMs, l0RetentionMs, graceMs };
  const { validationIntervalMs, pageChecksums } = options;
  const schedule = { levels, snapshotIntervalMs, retention, retentionEnabled };
  return { ...schedule, validationIntervalMs, pageChecksums };
}
