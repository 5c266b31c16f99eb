// Opens what one engine is made of: the stores of its replicas with their budgets and leases, the state directory, what is
// staged there, and the history that it continues.
import { join } from "node:path";
import type { Logger } from "../../core/base/log.ts";
import { openCodec } from "../../core/codec/codec.ts";
import type { Codec } from "../../core/codec/codec.ts";
import { layoutForUrl } from "../../core/replica/layout.ts";
import { createLoggedStore } from "../../core/store/logged-store.ts";
import type { ObjectStore } from "../../core/store/object-store.ts";
import { systemClock, systemRandom } from "../base/clock.ts";
import { nodeFileSystem } from "../file/node-file-system.ts";
import { openStore, urlWithoutSecrets } from "../store/open-store.ts";
import { meteredStores, openBudget } from "./budget-keeper.ts";
import type { ReplicaOptions, ResolvedOptions } from "./engine-options.ts";
import { costFields, expectedCost } from "./expected-cost.ts";
import { History } from "./history.ts";
import { openLease } from "./lease-keeper.ts";
import type { LeaseKeeperOptions } from "./lease-keeper.ts";
import { litestreamStateOf } from "./litestream-beside.ts";
import type { EndedRest, EngineParts, LevelSchedule } from "./parts.ts";
import { ReplicaLink } from "./replica-link.ts";
import type { ReplicaLinkOptions } from "./replica-link.ts";
import { ReplicaRecordFile } from "./replica-record.ts";
import type { EngineEnvironment } from "./running-engine.ts";
import { Staging } from "./staging.ts";
import {
  openStateDirectory,
  ownershipOf,
  realPathOf,
  stateDirectoryOf,
} from "./state-directory.ts";

/** Its working memory serves all engines of the process in turn; each would keep more than half a megabyte of its own. */
let sharedCodec: Codec | undefined;

interface OpenedReplica {
  readonly url: string;
  readonly store: ObjectStore;
  readonly logger: Logger;
}

/** Opens state, stores and leases. `stack` closes them in the opposite order. */
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

/** Tells whose event it is. */
function namingReplica(logger: Logger, url: string): Logger {
  const replica = urlWithoutSecrets(url);
  return { log: (level, event, fields) => logger.log(level, event, { replica, ...fields }) };
}

/** When levels are made, images put and files deleted. */
export function scheduleOf(options: ResolvedOptions): LevelSchedule {
  const { levels, snapshotIntervalMs, snapshotRetentionMs, l0RetentionMs } = options;
  const { retentionEnabled, retentionGraceMs: graceMs } = options;
  const retention = { snapshotRetentionMs, l0RetentionMs, graceMs };
  const { validationIntervalMs, pageChecksums } = options;
  const schedule = { levels, snapshotIntervalMs, retention, retentionEnabled };
  return { ...schedule, validationIntervalMs, pageChecksums };
}
