// The parts one database's engine is made of, opened once and handed to the functions that work with them. What belongs
// to one of its replicas is in `ReplicaParts`.
import type { Clock } from "../../core/base/clock.ts";
import type { FileSystem } from "../../core/base/file-system.ts";
import type { Logger } from "../../core/base/log.ts";
import type { Random } from "../../core/base/random.ts";
import type { Codec } from "../../core/codec/codec.ts";
import type { RetentionPolicy } from "../../core/replica/retention.ts";
import type { BriefWake } from "./brief-wake.ts";
import type { History } from "./history.ts";
import type { PutTimes } from "./put-times.ts";
import type { ReplicaLink } from "./replica-link.ts";
import type { StagedFeed } from "./staged-feed.ts";
import type { Staging } from "./staging.ts";
import type { StateDirectory } from "./state-directory.ts";

export interface EngineLimits {
  /** Changes are uploaded at most once in this time; 0 = each commit at once. */
  readonly syncIntervalMs: number;
  /** While somebody follows, changes are staged at most once in this time. */
  readonly pushIntervalMs: number;
  readonly maxWalSizeBytes: number;
  readonly maxStagingBytes: number;
}

/** When levels are made and what is deleted; see `ReplicateOptions`. */
export interface LevelSchedule {
  /** Interval of level 1, 2, ..., ms. */
  readonly levels: readonly number[];
  readonly snapshotIntervalMs: number;
  readonly retention: RetentionPolicy;
  readonly retentionEnabled: boolean;
  /** How often all levels are looked through for gaps and overlaps, ms; 0 = never. */
  readonly validationIntervalMs: number;
  /** Merged files and full images get checksum files. */
  readonly pageChecksums: boolean;
}

/** How often what is verified; 0 = never. See `ReplicateOptions`. */
export interface VerificationSchedule {
  readonly verifyIntervalMs: number;
  readonly verifyRestoreIntervalMs: number;
  /** Names the record of a replica that is not the first. */
  readonly replica?: string | undefined;
}

/** The rest that the engine ends. */
export interface EndedRest {
  readonly putTimes: PutTimes;
  /** Something of the levels had been left to do. */
  readonly hasDueLevels: boolean;
  /** When something is due without any change, wall clock, ms; `undefined` = never. */
  readonly dueAtMs: number | undefined;
  /** Nothing has changed: it is only ended for upkeep. */
  readonly isUndisturbed: boolean;
  /** By this process: a Litestream that is there now came meanwhile. */
  readonly wasWatched: boolean;
}

export interface EngineParts {
  /** The database's path with links followed. */
  readonly path: string;
  /** `ltx` in the state directory of a Litestream on the same database, whether it is there or not. */
  readonly litestreamDirectory: string;
  readonly state: StateDirectory;
  readonly staging: Staging;
  readonly history: History;
  readonly codec: Codec;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: EngineLimits;
  /** `undefined`: levels and retention are left to others. */
  readonly schedule: LevelSchedule | undefined;
  /** `undefined`: nothing is verified. */
  readonly verification: VerificationSchedule | undefined;
  /** Do not wait for another writer to fall silent. */
  readonly takeOver: boolean;
  /** One pass: whatever would have to wait for another writer fails. */
  readonly once: boolean;
  /** `undefined`: the engine starts without having been at rest. */
  readonly endedRest: EndedRest | undefined;
  readonly brief: BriefWake;
  /** Those who follow by push; `undefined`: nobody can. */
  readonly feed: StagedFeed | undefined;
}

/** The same for work on one of the replicas. */
export interface ReplicaParts extends EngineParts {
  readonly link: ReplicaLink;
}
