// What the databases of a fleet are given.
import type { Clock } from "../../core/base/clock.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import type { StoreMemory } from "../store/store-memory.ts";
import type { ResolvedOptions } from "./engine-options.ts";
import type { Hibernation } from "./hibernation.ts";
import type { EngineEnvironment } from "./open-parts.ts";
import type { StagedFeed } from "./staged-feed.ts";

/** What a fleet is told to replicate. */
export interface FleetMember {
  readonly options: ResolvedOptions;
  /** Runs before each start of an engine, and does nothing once it has succeeded. */
  readonly prepare: (waiting: { readonly signal: AbortSignal }) => Promise<void>;
  /** One for each replica, the same for two URLs that lead to the same one; without them, the URLs themselves. */
  readonly replicaIdentities?: readonly string[] | undefined;
}

/** What the databases of a fleet share. */
export interface FleetRunEnvironment {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly hibernation: Hibernation;
  readonly storeMemory: StoreMemory;
  /** Streams are served: somebody may follow by push. */
  readonly isPushed?: boolean | undefined;
  /** Those who follow this database by push. */
  readonly feed?: StagedFeed | undefined;
  /** Tests put failing parts in front. */
  readonly parts?: Pick<EngineEnvironment, "fileSystem" | "wrapStore"> | undefined;
}

/** Tells whose event it is. */
export function withDatabase(environment: FleetRunEnvironment, db: string): FleetRunEnvironment {
  const { logger } = environment;
  return {
    ...environment,
    logger: { log: (level, event, fields) => logger.log(level, event, { db, ...fields }) },
  };
}
